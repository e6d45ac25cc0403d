"""The JSON batch response: rules JR-01 to JR-13 of the contract."""

from __future__ import annotations

import base64
import json
from urllib.parse import urljoin

import pytest
from harness import rest
from harness.batches import Call, by_id, check_error, run_batch
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply


def one(gateway: Gateway, url: str = "A") -> dict[str, object]:
    [response] = rest.post(gateway.http_port, {"requests": [rest.get_call("1", url)]}).responses
    return response


@pytest.mark.parametrize("root", ["/svc/", "/stream/"])
def test_JR_01_one_object_with_responses(root: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"x": 1}, headers=[("ETag", '"1"')]))
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}, root=root)
    assert list(answer.json()) == ["responses"]
    assert list(answer.responses[0]) == ["id", "status", "headers", "body"]


def test_JR_02_no_context_and_no_next_link_of_a_whole_answer(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    document = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}).json()
    assert not [name for name in document if "context" in name or "nextLink" in name]


@pytest.mark.parametrize("name", ["r1", "R1", "0.0", "a~b", "00", "1e3"])
def test_JR_03_the_id_is_repeated_exactly(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    assert [result.id for result in run_batch(front, gateway, [Call(name, "A")])] == [name]


def test_JR_05_the_group_is_echoed(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    calls = [Call("1", "A", group="g1"), Call("2", "A"), Call("3", "A", "TRACE", group="g2")]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: result.group for name, result in results.items()} == {"1": "g1", "2": "", "3": "g2"}


def test_JR_05_no_member_without_a_group(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    assert "atomicityGroup" not in one(gateway)


def test_JR_06_status_is_a_number(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    status = one(gateway)["status"]
    assert status == 200
    assert isinstance(status, int)


def test_JR_07_lower_case_names_and_joined_values(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = [
        ("ETag", '"1"'),
        ("X-Many", "a"),
        ("x-many", "b"),
        ("Set-Cookie", "s=1"),
        ("Connection", "X-Hop"),
    ]
    upstream.on("GET", "/A", json_reply({}, headers=[*fields, ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]))
    [result] = run_batch(front, gateway, [Call("1", "A")])
    assert result.headers["etag"] == '"1"'
    assert result.headers["x-many"] == "a, b"
    assert not {"set-cookie", "connection", "x-hop", "keep-alive", "transfer-encoding"} & result.headers.keys()


def test_JR_07_names_in_the_document_are_lower_case(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({}, headers=[("ETag", '"1"'), ("X-Odd", 'a"\\b\t\xe9')]))
    headers = one(gateway)["headers"]
    assert isinstance(headers, dict)
    assert all(name == name.lower() and isinstance(value, str) for name, value in headers.items())
    assert headers["x-odd"] == 'a"\\b\t\xe9'


@pytest.mark.parametrize(
    "text", [b'{"a":1.10}', b"[1,2]", b'"s"', b"12", b"true", b' {"spaced" : [ ] }\n', b'"\\u00e4"']
)
@pytest.mark.parametrize("chunked", [False, True])
def test_JR_08_json_bodies_are_inline(
    text: bytes, chunked: bool, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "application/json")], text, chunked=chunked))
    [result] = run_batch(front, gateway, [Call("1", "A")])
    assert result.status == 200
    assert result.json() == json.loads(text)


def test_JR_08_json_is_not_re_encoded(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = b'{"number":1.10,"big":12345678901234567890,"e":"\\u00e4"}'
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "application/json")], text))
    assert text in rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}).body


@pytest.mark.parametrize("text", ["12", "", 'say "hi"\n\\', "grüß 😀", "\x00\x1f\x7f", "\u2028"])
def test_JR_08_text_bodies_are_strings(text: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "text/plain; charset=utf-8")], text.encode()))
    assert one(gateway).get("body", "") == text


@pytest.mark.parametrize("size", [1, 2, 3, 255, 4096])
def test_JR_08_other_bodies_are_base64url(size: int, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = bytes(n * 7 & 255 for n in range(size))
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "application/octet-stream")], body))
    [result] = run_batch(front, gateway, [Call("1", "A")])
    assert result.body == body


def test_JR_08_never_plus_or_slash(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = b"\xfb\xff\xfe\xff" * 30
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "image/png")], body))
    text = one(gateway)["body"]
    assert isinstance(text, str)
    assert not set(text) & set("+/")
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == body


def test_JR_08_an_empty_text_or_binary_body_is_an_empty_string(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for name, media in (("text", "text/plain"), ("image", "image/png"), ("json", "application/json")):
        upstream.on("GET", f"/{name}", Reply(200, [("Content-Type", media)]))
    found = rest.post(gateway.http_port, {"requests": [rest.get_call(n, n) for n in ("text", "image", "json")]}).by_id()
    assert (found["text"]["body"], found["image"]["body"]) == ("", "")
    assert "body" not in found["json"]


@pytest.mark.parametrize("kind", ["application/json;odata.metadata=minimal", "application/problem+json", "text/plain"])
def test_JR_09_content_type_is_kept(kind: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [("Content-Type", kind)], b"12"))
    [result] = run_batch(front, gateway, [Call("1", "A")])
    assert result.headers["content-type"] == kind


def test_JR_10_as_they_finish(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=0.5))
    upstream.on("GET", "/fast")
    results = run_batch(front, gateway, [Call("1", "slow"), Call("2", "fast")])
    assert [result.id for result in results] == ["2", "1"]


def test_JR_11_no_reference_in_response_urls(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)")]))
    upstream.on("POST", "/C(7)/Orders", json_reply({}, 201, [("Location", "Orders(5)")]))
    calls = [Call("1", "C", "POST", body=b"{}"), Call("2", "$1/Orders", "POST", body=b"{}", depends_on=["1"])]
    location = by_id(run_batch(front, gateway, calls))["2"].headers["location"]
    assert "$1" not in location
    assert urljoin("http://gw.example/svc/C(7)/Orders", location) == "http://gw.example/svc/C(7)/Orders(5)"


def test_JR_12_all_members_of_a_failed_group_fail(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", group="g"), Call("2", "A", "TRACE", group="g"), Call("3", "A", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status in (424, 501)
    assert results["2"].status in (400, 424, 501)
    check_error(results["3"], 424)
    assert upstream.lines == []


@pytest.mark.parametrize("status", [204, 304])
def test_JR_13_no_body_where_http_has_none(
    status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(status, [("ETag", '"1"')]))
    [result] = run_batch(front, gateway, [Call("1", "A")])
    assert (result.status, result.body, result.headers["etag"]) == (status, None, '"1"')
