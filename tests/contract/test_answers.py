"""What an answer says when the upstream's body is not what it claims to be, or too large: rules AN-01 to AN-04."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from harness import multiparts, rest
from harness.batches import GRPC_BATCH, GRPC_EXECUTE, JSON_FRONTS, Call, by_id, check_error, run_batch
from harness.documents import parts
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = ("Content-Type", "application/json")
CREATED = [JSON, ("Location", "/svc/Items(1)"), ("ETag", '"7"')]
CALLS = [
    Call("a", "created", "POST", {"content-type": "application/json"}, b"{}"),
    Call("b", "$a/x", depends_on=["a"]),
    Call("c", "Z", depends_on=["a"]),
]


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/Items(1)/x")
    upstream.on("GET", "/Z")


def test_AN_01_a_write_that_answers_with_bad_json_is_done(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/created", Reply(201, CREATED, b"OK"))
    found = by_id(run_batch(front, gateway, CALLS))
    assert {name: result.status for name, result in found.items()} == {"a": 201, "b": 200, "c": 200}
    assert found["a"].body == b"OK"
    assert (found["a"].headers["etag"], found["a"].headers["location"]) == ('"7"', "/svc/Items(1)")
    if front in JSON_FRONTS:
        assert found["a"].headers["content-type"] == "text/plain"
        assert "application/json" in found["a"].headers["batchwire-note"]
    else:
        assert found["a"].headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [401, 409, 429, 503])
@pytest.mark.parametrize("body", [b"gone, sorry", b"<html>\r\n", b"\xff\x00\xfe", "Größe".encode("latin-1")])
def test_AN_01_errors_keep_their_status_and_headers(
    status: int, body: bytes, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    fields = [JSON, ("WWW-Authenticate", "Basic"), ("Retry-After", "7")]
    upstream.on("GET", "/A", Reply(status, fields, body))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert (found.status, found.body) == (status, body)
    assert (found.headers["www-authenticate"], found.headers["retry-after"]) == ("Basic", "7")


@pytest.mark.parametrize("body", [b"OK\r\n\r\nfine", b"\xff\x00\xfe", b" \r\n", b'"\xe9"'])
def test_AN_01_a_part_has_the_bytes_of_the_upstream(
    body: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/created", Reply(201, CREATED, body))
    post = multiparts.part(b"POST created HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}")
    [found] = parts(way, gateway, post)
    assert (found.status, found.body, found.header("content-type")) == (201, body, "application/json")


@pytest.mark.parametrize("coding", ["br", "gzip", "x-none"])
def test_AN_01_a_coding_that_cannot_be_undone(
    coding: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/created", Reply(201, [*CREATED, ("Content-Encoding", coding)], b"{}"))
    found = by_id(run_batch(front, gateway, CALLS))
    assert [result.status for result in found.values()] == [201, 200, 200]
    assert (found["a"].body, found["a"].headers["content-encoding"]) == (b"{}", coding)


@pytest.mark.parametrize("media", ["image/png", "application/pdf; a=b", "application/json", "text/plain"])
def test_AN_01_what_cannot_be_undone_keeps_its_type(
    media: str, front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """But in a JSON answer, where the type of JSON or text would say that it is written so."""
    upstream.on("GET", "/A", Reply(200, [("Content-Type", media), ("Content-Encoding", "br")], b"\xff\0"))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    [part] = parts(way, gateway, Call("1", "A"))
    renamed = front in JSON_FRONTS and not media.startswith(("image", "application/pdf"))
    assert found.headers["content-type"] == ("application/octet-stream" if renamed else media)
    assert (found.body, part.body, part.header("content-type")) == (b"\xff\0", b"\xff\0", media)


TWICE = [("Content-Type", "text/plain"), ("ETag", '"1"'), ("Location", "A"), ("OData-EntityId", "A"), ("X-A", "1")]
AGAIN = [("content-type", "text/html"), ("etag", '"2"'), ("location", "B"), ("Odata-entityid", "B"), ("X-a", "2")]


def test_CL_02_of_a_field_that_an_answer_has_once_the_first_counts(
    front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """In every dialect; lists are joined, or come as several fields."""
    coded = [("Content-Encoding", "x"), ("Content-Encoding", "y"), ("Content-Location", "C")]
    upstream.on("POST", "/A", Reply(201, [*TWICE, *coded, *AGAIN], b"a"))
    upstream.on("POST", "/B", Reply(201, [*TWICE[:1], *TWICE[:1]], b"a"))
    calls = [Call("1", "A", "POST"), Call("2", "B", "POST")]
    found = by_id(run_batch(front, gateway, calls))
    first, second = parts(way, gateway, *calls)
    renamed = "application/octet-stream" if front in JSON_FRONTS else "text/plain"  # AN-01
    for headers, media in ((found["1"].headers, renamed), (dict(first.headers), "text/plain")):
        one = {name.lower(): value for name, value in headers.items()}
        assert (one["content-type"], one["etag"]) == (media, '"1"')
        assert [one[name].rsplit("/", 1)[-1] for name in ("location", "odata-entityid", "content-location")] == list(
            "AAC"
        )
    assert first.header("x-a") is not None
    for name, both in (("x-a", "1, 2"), ("content-encoding", "x, y")):
        assert found["1"].headers[name] == both
    assert "content-type comes with two values; the first counts" in found["1"].headers["batchwire-note"]
    assert found["2"].headers["content-type"] == second.header("content-type") == "text/plain"
    assert "batchwire-note" not in found["2"].headers


@pytest.mark.parametrize("body", [b" ", b"\r\n\t", b"\xef\xbb\xbf \n"])
def test_AN_01_white_space_is_no_body(body: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [JSON], body))
    [found] = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}).responses
    assert found == {"id": "1", "status": 200, "headers": {"content-type": "application/json"}}


@pytest.mark.parametrize("codec", ["latin-1", "shift_jis", "utf-16"])
@pytest.mark.parametrize("media", ["application/json", "text/plain"])
def test_AN_02_other_charsets_are_transcoded(
    media: str, codec: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    text = "déjà" if codec == "latin-1" else "表示"
    body = json.dumps([text], ensure_ascii=False) if media == "application/json" else text
    upstream.on("GET", "/A", Reply(429, [("Content-Type", f"{media};charset={codec}")], body.encode(codec)))
    [found] = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}).responses
    assert (found["status"], found["body"]) == (429, [text] if media == "application/json" else text)
    assert found["headers"] == {"content-type": f"{media};charset=utf-8"}


BEYOND = {
    "length": Reply(201, CREATED, b"x" * 6_000),
    "chunked": Reply(201, CREATED, b"x" * 6_000, chunked=True),
    "headers": Reply(201, [*CREATED, ("X-Long", "y" * 6_000)], b"{}"),
}


@pytest.mark.parametrize("reply", BEYOND.values(), ids=BEYOND)
def test_AN_03_a_write_whose_answer_is_too_large_is_done(
    reply: Reply, front: str, small_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/created", reply)
    found = by_id(run_batch(front, small_gateway, CALLS))
    assert {name: result.status for name, result in found.items()} == {"a": 201, "b": 200, "c": 200}
    assert not found["a"].body
    assert found["a"].headers["etag"] == '"7"'
    assert "left out" in found["a"].headers["batchwire-note"]


@pytest.mark.parametrize(("status", "expected"), [(200, 502), (204, 204), (404, 404), (503, 503)])
def test_AN_03_only_a_get_that_has_lost_its_answer_fails(
    status: int, expected: int, front: str, small_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/big", Reply(status, [JSON, ("Retry-After", "7")], b"" if status == 204 else b"x" * 6_000))
    [found] = run_batch(front, small_gateway, [Call("1", "big")])
    if expected == 502:
        check_error(found, 502)
        assert b"(max_response_bytes)" in found.body
    else:
        assert (found.status, found.headers["retry-after"]) == (expected, "7")


def test_AN_03_too_many_headers_cost_headers_alone(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    many = [(f"X-{n}", "1") for n in range(200)]
    upstream.on("GET", "/A", Reply(200, [*many, ("ETag", '"7"'), JSON], b"[1]"))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert (found.status, found.json(), found.headers["etag"]) == (200, [1], '"7"')
    assert "batchwire-note" in found.headers


HALVES = [r'"\ud800"', r'{"\udc00":[1,"a\ud83d\n"]}', r'["\ud800\ud800\udc00"]']


@pytest.mark.parametrize("text", HALVES)
def test_AN_04_bodies_with_half_a_pair_travel_as_they_are(
    text: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/created", Reply(200, [JSON], text.encode()))
    call = '{"id":"1","method":"post","url":"created","body":' + text + "}"
    answer = rest.post(gateway.http_port, b'{"requests":[' + call.encode() + b',{"id":"2","method":"get","url":"Z"}]}')
    assert b'"body":' + text.encode() in answer.body
    assert {name: one["status"] for name, one in answer.by_id().items()} == {"1": 200, "2": 200}
    assert [call.body for call in upstream.log if call.method == "POST"] == [text.encode()]


HALF: dict[str, dict[str, Any]] = {
    "id": {"id": "\ud800"},
    "url": {"url": "A\udc00"},
    "header name": {"headers": {"x\ud800": "1"}},
    "header value": {"headers": {"x": "\ud800"}},
    "dependsOn": {"dependsOn": ["\ud800"]},
    "if": {"if": "'\ud800' eq 'a'"},
    "text body": {"method": "post", "headers": {"content-type": "text/plain"}, "body": "\ud800"},
    "method": {"method": "get\ud800"},
    "binary body": {"method": "post", "headers": {"content-type": "image/png"}, "body": "\ud800"},
}


@pytest.mark.parametrize("member", HALF.values(), ids=HALF)
def test_AN_04_half_a_pair_where_text_is_needed_is_400(
    member: dict[str, Any], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [{"id": "1", "method": "get", "url": "A", **member}, rest.get_call("2", "Z")]
    answer = rest.post(gateway.http_port, json.dumps({"requests": calls}).encode())
    assert [one["status"] for one in answer.responses if one["id"] == "2"] == [200]
    [other] = [one for one in answer.responses if one["id"] != "2"]
    assert (other["status"], other["id"]) == (400, "\ufffd" if "id" in member else "1")
    assert upstream.lines == ["GET /Z"]


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_AN_04_half_a_pair_cannot_be_put_into_a_url(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [JSON], rb'{"a":"\ud800","b":"\ud83d\ude00"}'))
    upstream.on("GET", "/Z?q=%F0%9F%98%80")
    calls = [
        Call("a", "A"),
        Call("1", "Z?q=$a/a", depends_on=["a"]),
        Call("2", "Z?q=$a/b", depends_on=["a"]),
    ]
    found = by_id(run_batch(front, gateway, calls))
    assert {name: result.status for name, result in found.items()} == {"a": 200, "1": 400, "2": 200}


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_AN_04_bytes_of_a_body_are_never_looked_at(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [JSON], HALVES[0].encode()))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert found.body == HALVES[0].encode()


def test_AN_01_base64url_gives_the_bytes_back(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = bytes(range(256))
    upstream.on("GET", "/A", Reply(200, [JSON], body))
    [found] = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}).responses
    assert found["headers"]["content-type"] == "application/octet-stream"
    assert base64.urlsafe_b64decode(found["body"] + "==") == body


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    named=st.lists(st.sampled_from(["x-a", "X-B", "x-ab", "etag", "x-", " ", "\t x-c ", "x-C"]), max_size=8),
    lines=st.integers(1, 3),
)
def test_HD_20_what_connection_names_stays_on_its_hop(
    named: list[str], lines: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    said = [("Connection", ",".join(named[n::lines])) for n in range(lines)]
    sent = dict.fromkeys(("X-A", "x-b", "X-AB", "X-C", "X-D"), "1")
    upstream.on("GET", "/A", Reply(200, [*said, *sent.items(), ("ETag", '"7"'), JSON], b"[1]"))
    [found] = run_batch(GRPC_BATCH, gateway, [Call("1", "A")])
    gone = {name.strip().lower() for name in named}
    assert {name for name in found.headers if name.startswith("x-")} == {name.lower() for name in sent} - gone
    assert found.headers["etag"] == '"7"'
