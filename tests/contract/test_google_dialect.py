"""`POST {root}batch…`, the dialect of the Google client, on the wire: clients.md 3."""

from __future__ import annotations

import json

import pytest
from harness.dialects import GOOGLE_TYPE, PATHS, ask, google_document, google_part, raw, read_google
from harness.documents import REST, Refused
from harness.gateway import Gateway
from harness.multiparts import Part
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

BASE = "05d58fe5-1584-4a83-a015-a704c3c0be8c"


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for name in "abcd":
        upstream.on("GET", f"/{name}")


def run(way: str, gateway: Gateway, *parts: bytes, **more: object) -> list[Part]:
    return read_google(ask("google", way, gateway, google_document(*parts), GOOGLE_TYPE, **more))  # type: ignore[arg-type]


def test_google_content_ids_come_back_with_their_prefix(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    ids = [f"<{BASE} + 1>", f"<{BASE} + make/%C3%BC%20%2Bx>", "<a@b>", "bare"]
    parts = run(way, gateway, *(google_part(name, f"GET /{letter}") for name, letter in zip(ids, "abcd", strict=True)))
    echoed = [f"<response-{name[1:]}" if name.startswith("<") else f"response-{name}" for name in ids]
    assert [part.content_id for part in parts] == echoed
    assert [part.status for part in parts] == [200] * 4
    assert sorted(upstream.lines) == ["GET /a", "GET /b", "GET /c", "GET /d"]


def test_HD_13_wait_is_the_deadline_of_a_google_batch(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/b", json_reply({}, gate=gate))
    batch = google_document(google_part("<1>", "GET /a"), google_part("<2>", "GET /b"))
    try:
        answer = ask("google", way, gateway, batch, GOOGLE_TYPE, {"Prefer": "wait=1"})
    finally:
        gate.open()
    assert [part.status for part in read_google(answer)] == [200, 504]
    assert answer.header("preference-applied") == "wait=1"


def test_HD_13_wait_with_respond_async_is_none_of_a_google_batch(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    batch = google_document(google_part("<1>", "GET /a", "Prefer: respond-async"))
    answer = ask("google", way, gateway, batch, GOOGLE_TYPE, {"Prefer": "respond-async, wait=1"})
    assert [part.status for part in read_google(answer)] == [200]
    assert answer.header("preference-applied") is None
    assert upstream.call("GET /a").header("prefer") is None, "AS-09"


def test_google_folded_ids_are_unfolded(way: str, gateway: Gateway) -> None:
    """The client folds a long id; its own reader takes one line."""
    tail = "x" * 200
    (part,) = run(way, gateway, google_part(f"<{BASE} +\n {tail}>", "GET /a"))
    assert part.content_id == f"<response-{BASE} + {tail}>"
    (part,) = run(way, gateway, google_part(f"\n <{BASE} + {tail}>", "GET /a"))
    assert part.content_id == f"<response-{BASE} + {tail}>"


def test_google_401_of_a_part_is_told_as_it_is(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The client then asks for that part again with new credentials."""
    challenge = ("WWW-Authenticate", 'Bearer error="invalid_token"')
    upstream.on("GET", "/b", odata_error(401, headers=[challenge]))
    first, second, third = run(way, gateway, *(google_part(f"<{n}>", f"GET /{n}") for n in "abc"))
    assert (first.status, third.status) == (200, 200)
    assert second.line == "HTTP/1.1 401 Unauthorized"
    assert second.header("www-authenticate") == challenge[1]
    assert second.json() == {"error": {"code": "Broken", "message": "no"}}
    assert len(upstream.lines) == 3


def test_google_calls_run_concurrently_and_are_answered_in_order(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/a", json_reply({}, 500, gate=gate))

    def last(_: object) -> Reply:
        gate.open()
        return json_reply({})

    upstream.fallback = last
    parts = run(way, gateway, google_part("<1>", "GET /a"), google_part("<2>", "GET /b"), google_part("<3>", "GET /z"))
    assert [part.status for part in parts] == [500, 200, 200]


def test_google_headers_of_the_client_stay_behind(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Credentials, the API's host, codings that it does not undo, and a length that counts characters."""
    upstream.on("POST", "/a?alt=json")
    text = '{"name":"gämma"}'
    headers = (
        "accept: application/json",
        "accept-encoding: gzip, deflate",
        "authorization: Bearer inner",
        "Host: api.example:1234",
        f"content-length: {len(text)}",
    )
    part = google_part("<1>", "POST /a?alt=json", *headers, body=text)
    for route in ("/svc/", "/trusted/"):
        upstream.log.clear()
        (found,) = run(way, gateway, part, headers={"Authorization": "Bearer outer"}, route=route)
        assert found.status == 200
        call = upstream.call("POST /a?alt=json")
        assert json.loads(call.body) == {"name": "gämma"}
        assert call.header("content-length") == str(len(text.encode()))
        assert call.header("accept") == "application/json"
        assert call.header("accept-encoding") is None
        assert call.header("authorization") == ("Bearer outer" if route == "/trusted/" else None)
        assert "api.example" not in str(call.headers)


def test_google_answer_without_body_has_a_header(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("DELETE", "/a", Reply(204))
    (part,) = run(way, gateway, google_part("<1>", "DELETE /a"))
    assert (part.line, part.body, part.header("content-length")) == ("HTTP/1.1 204 No Content", b"", "0")


def test_google_get_says_no_content_type(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run(way, gateway, google_part("<1>", "GET /a"))
    assert upstream.call("GET /a").header("content-type") is None


def test_google_bodies_know_no_references(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("PUT", "/b?f=$1/v")
    upstream.on("GET", "/a", json_reply({"v": 5}))
    text = '{"Price":"$1","x@odata.bind":"$1","v":"resultOf(1)"}'
    parts = run(way, gateway, google_part("1", "GET /a"), google_part("2", "PUT /b?f=$1/v", body=text))
    assert [part.status for part in parts] == [200, 200]
    assert upstream.call("PUT /b?f=$1/v").body == text.encode()


@pytest.mark.parametrize("path", ["batch", "batch/thing/v1"])
def test_google_path(path: str, gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PATHS, "google", ("POST", path))
    (part,) = run(REST, gateway, google_part("<1>", "GET /a"))
    assert part.status == 200


@pytest.mark.parametrize(
    "parts",
    [
        (google_part("<1>", "GET /a"), google_part("<1>", "GET /b")),
        (google_part("<1>", "GET /a"), google_part("", "GET /b")),
        (google_part("<1>", "GET /a"), google_part("<ü>", "GET /b")),
        (google_part("<1>", "GET /a"), google_part("<\x00>", "GET /b")),
        (google_part("<1>", "GET /a"), google_part("<" + "x" * 10_000 + ">", "GET /b")),
    ],
    ids=["duplicate", "empty", "no-ascii", "nul", "long"],
)
def test_google_broken_ids_are_400_and_run_nothing(
    parts: tuple[bytes, ...], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with pytest.raises(Refused) as caught:
        run(way, gateway, *parts)
    assert caught.value.bad_envelope
    assert upstream.lines == []


def test_google_truncated_batch_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    whole = google_document(google_part("<1>", "GET /a"), google_part("<2>", "GET /b"))
    answer = raw("google", gateway, whole[:-4], GOOGLE_TYPE)
    assert answer.status == 400
    assert answer.json()["error"]["code"]
    assert upstream.lines == []
