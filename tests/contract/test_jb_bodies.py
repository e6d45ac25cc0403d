"""Headers and bodies of the request objects: rules JB-20 to JB-28 of the contract."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from harness import rest
from harness.batches import Call, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream

BYTES = b"\xfb\xff\xfe\x00>\x0f\xff\xff\xfb\xf0"


def put(gateway: Gateway, body: Any, content_type: str | None = None, method: str = "put") -> dict[str, Any]:
    """The response object of one call with this JSON `body`."""
    member: dict[str, Any] = {"id": "1", "method": method, "url": "A", "body": body}
    if content_type is not None:
        member["headers"] = {"content-type": content_type}
    [response] = rest.post(gateway.http_port, {"requests": [member]}).responses
    return response


def check_forwarded(upstream: ScriptedUpstream, response: dict[str, Any], body: bytes) -> None:
    assert response["status"] == 204, response
    assert upstream.call("PUT /A").body == body


def check_inner_400(upstream: ScriptedUpstream, response: dict[str, Any]) -> None:
    assert response["status"] == 400, response
    assert rest.is_odata_error(response["body"])
    assert upstream.lines == []


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("PUT", "/A", Reply(204))
    upstream.on("GET", "/A")


def test_JB_20_header_names_in_any_case(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", "PUT", {"Content-Type": "text/plain", "X-Custom": "a, b", "PREFER": "wait=1"}, b"x")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 204}
    call = upstream.call("PUT /A")
    assert call.header("content-type") == "text/plain"
    assert call.header("x-custom") == "a, b"
    assert call.header("prefer") == "wait=1"
    assert call.body == b"x"


@pytest.mark.parametrize("value", [1, None, True, ["a"], {}])
def test_JB_20_header_values_are_strings(value: object, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    call = {"id": "1", "method": "get", "url": "A", "headers": {"x-custom": value}}
    check_inner_400(upstream, rest.post(gateway.http_port, {"requests": [call]}).by_id()["1"])


@pytest.mark.parametrize("headers", [[], "a: b", 1, True])
def test_JB_20_headers_is_an_object(headers: object, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    call = {"id": "1", "method": "get", "url": "A", "headers": headers}
    check_inner_400(upstream, rest.post(gateway.http_port, {"requests": [call]}).by_id()["1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "b\r\nEvil: 1"),
        ("x-a", "b\nEvil: 1"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("x-a\r\nevil", "1"),
        ("x a", "1"),
        ("x-a:", "1"),
        ("", "1"),
    ],
)
def test_JB_20_headers_cannot_break_out(
    name: str, value: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", "A", headers={name: value}), Call("2", "A")]))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize("headers", [None, {}, {"x-custom": "1"}])
def test_JB_21_content_type_defaults_to_json(
    headers: dict[str, str] | None, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    member: dict[str, Any] = {"id": "1", "method": "put", "url": "A", "body": {"x": 1}}
    if headers is not None:
        member["headers"] = headers
    [response] = rest.post(gateway.http_port, {"requests": [member]}).responses
    check_forwarded(upstream, response, b'{"x":1}')
    assert upstream.call("PUT /A").header("content-type") == "application/json"


def test_JB_22_null_is_no_body(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "A", body=None), {"id": "2", "method": "put", "url": "A", "body": None}]
    found = rest.post(gateway.http_port, {"requests": calls}).by_id()
    assert (found["1"]["status"], found["2"]["status"]) == (200, 204)
    assert upstream.call("GET /A").body == b""
    assert upstream.call("PUT /A").body == b""


@pytest.mark.parametrize("body", [{}, [], {"a": [1, {"b": None}]}, "text", "", 1, 1.5, True, False, [[]]])
@pytest.mark.parametrize("kind", [None, "application/json", "application/json;odata.metadata=full", "Application/JSON"])
def test_JB_23_any_json_value_under_json(
    body: object, kind: str | None, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    response = put(gateway, body, kind)
    assert response["status"] == 204
    assert json.loads(upstream.call("PUT /A").body) == body


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1.10,"b":1e400,"c":12345678901234567890123}',
        b'{ "spaced" : [ 1 , 2 ] }',
        b'{"\\u00e4":"\\ud83d\\ude00\\/\\""}',
        '{"ä":"😀"}'.encode(),
        b'{"b":1,"a":2,"b":3}',
    ],
)
def test_JB_23_json_bodies_are_forwarded_as_written(text: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    document = b'{"requests":[{"id":"1","method":"put","url":"A","body":' + text + b"}]}"
    [response] = rest.post(gateway.http_port, document).responses
    check_forwarded(upstream, response, text)


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=utf-8", "TEXT/XML", "text/html"])
@pytest.mark.parametrize("text", ["", "12", "null", 'a "b" \\ \n\t', "grüß 😀", "\u0000\u001f"])
def test_JB_24_text_is_a_string(kind: str, text: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_forwarded(upstream, put(gateway, text, kind), text.encode())
    assert upstream.call("PUT /A").header("content-type") == kind


@pytest.mark.parametrize("body", [1, {}, ["a"], True])
def test_JB_24_text_that_is_no_string_is_400(body: object, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_inner_400(upstream, put(gateway, body, "text/plain"))


@pytest.mark.parametrize("kind", ["image/png", "application/xml", "multipart/mixed; boundary=b", "application/http"])
def test_JB_25_everything_else_is_base64url(kind: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_forwarded(upstream, put(gateway, base64.urlsafe_b64encode(BYTES).decode().rstrip("="), kind), BYTES)


@pytest.mark.parametrize(
    "text",
    [
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode().rstrip("="),
    ],
)
def test_JB_25_padding_and_plain_base64_are_accepted(text: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_forwarded(upstream, put(gateway, text, "image/png"), BYTES)


def test_JB_25_empty_binary(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_forwarded(upstream, put(gateway, "", "image/png"), b"")


@pytest.mark.parametrize("text", ["a", "ab!c", "YQ===", "Y=Q=", "YQ==YQ==", "Y Q", "ä", {}, 1, ["YQ"]])
def test_JB_25_bad_base64url_is_inner_400(text: object, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_inner_400(upstream, put(gateway, text, "image/png"))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_JB_26_no_body_with_get_and_delete(
    method: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call("1", "A", method, body=b'{"x":1}'), Call("2", "A")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /A"]


def with_coding(gateway: Gateway, coding: str, body: bytes) -> dict[str, Any]:
    headers = {"content-type": "image/png", "transfer-encoding": coding}
    text = base64.urlsafe_b64encode(body).decode()
    member = {"id": "1", "method": "put", "url": "A", "headers": headers, "body": text}
    return rest.post(gateway.http_port, {"requests": [member]}).by_id()["1"]


def test_JB_27_unknown_transfer_coding_is_501(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    response = with_coding(gateway, "x-unknown", BYTES)
    assert response["status"] == 501
    assert rest.is_odata_error(response["body"])
    assert upstream.lines == []


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", gzip.compress(BYTES, mtime=0)), ("chunked", b"a\r\n" + BYTES + b"\r\n0\r\n\r\n")]
)
def test_JB_27_known_codings_are_decoded_or_501(
    coding: str, body: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    response = with_coding(gateway, coding, body)
    if response["status"] == 204:
        call = upstream.call("PUT /A")
        assert call.body == BYTES
        assert call.header("transfer-encoding") is None
    else:
        assert response["status"] == 501
        assert upstream.lines == []


@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        ("deflate, deflate, deflate", BYTES, 400, "BadBody"),
        ("gzip", gzip.compress(b"\0" * (4 << 20)), 413, "CompressionRatio"),
        ("chunked, gzip", gzip.compress(b"1\r\nx\r\n" * 2_000_000), 413, "CompressionRatio"),
    ],
)
def test_JB_27_codings_are_bounded(
    coding: str, body: bytes, status: int, code: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    response = with_coding(gateway, coding, body)
    assert (response["status"], response["body"]["error"]["code"]) == (status, code)
    assert upstream.lines == []


@pytest.mark.parametrize("body", ["a.b", "a.\u00e9"])
def test_JB_25_FR_11_the_type_of_a_body_that_is_no_base64url_is_named(body: str, gateway: Gateway) -> None:
    longest = "a/" + "b" * 98
    for media, said in (
        ("application/xml", "application/xml"),
        (longest, longest),
        (f"{longest}bb", f"{longest[:-1]}…"),
    ):
        response = put(gateway, body, media)
        assert response["body"]["error"]["code"] == "BadBody"
        assert response["body"]["error"]["message"].endswith(f"as a body of content-type {said} is to be")


@pytest.mark.parametrize(
    "member",
    [
        b'{"id":"1","method":"get","url":"A","url":"B"}',
        b'{"id":"1","method":"get","method":"delete","url":"A"}',
        b'{"id":"1","method":"get","url":"A","u\\u0072l":"B"}',
        b'{"id":"1","method":"get","url":"A","headers":{"accept":"a","accept":"b"}}',
        b'{"id":"1","method":"get","url":"A","dependsOn":[],"dependsOn":[]}',
        b'{"id":"1","id":"2","method":"get","url":"A"}',
    ],
)
def test_JB_28_duplicate_members_are_400(member: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The rule gives 400 without saying whether for the request or for the batch."""
    answer = rest.post(gateway.http_port, b'{"requests":[' + member + b"]}")
    if answer.status == 200:
        [response] = answer.responses
        assert response["status"] == 400
    else:
        assert answer.status == 400
    assert upstream.lines == []
