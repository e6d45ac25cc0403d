"""gRPC-Web, binary and text, and unary calls of Connect, over HTTP/1.1 and HTTP/2; what pages of other origins may."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from batchwire.v1 import batch_pb2
from google.api import httpbody_pb2
from google.rpc import error_details_pb2, status_pb2
from harness import config, grpc_client, rest
from harness.gateway import Gateway
from harness.grpc_wire import prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import ScriptedUpstream, json_reply

SERVICE = "/batchwire.v1.BatchService"
PAGE = "https://pages.example"
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"
JSON, PROTO = "application/json", "application/proto"


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


def ask(
    version: str, gateway: Gateway, path: str, fields: dict[str, str], body: bytes | None = None, method: str = "POST"
) -> Answer:
    if version == "HTTP/2":
        with Http2Wire(gateway.http_port) as wire:
            heard = wire.ask(request(method, path, fields.items()), body)
            assert heard.ended
            return Answer(heard.status, dict(heard.headers), bytes(heard.data))
    told = rest.request(gateway.http_port, method, path, list(fields.items()), body)
    return Answer(told.status, {name.lower(): value for name, value in told.headers}, told.body)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"a": "ä"}))
    upstream.on("GET", "/slow", json_reply({}, delay=1.0))


@pytest.fixture(scope="module")
def open_gateway(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for the web page at PAGE."""
    settings = config.make({"things": {"url": _things.origin + "/"}}, [{"root": "/svc/", "upstream": "things"}])
    settings["listen"]["allowed_origins"] = [PAGE]
    with Gateway(settings, tmp_path_factory.mktemp("pages")) as running:
        yield running


def execute(*urls: str, route: str = "/svc/") -> bytes:
    calls = [grpc_client.call(str(number), url) for number, url in enumerate(urls)]
    return batch_pb2.ExecuteRequest(options=grpc_client.options(route), calls=calls).SerializeToString()


def frames(answer: Answer) -> tuple[list[bytes], dict[str, str]]:
    """Messages and trailers of a gRPC-Web answer."""
    data, messages, trailers = answer.body, [], None
    if "-text" in answer.fields["content-type"]:
        # Each piece may end in padding of its own.
        data = b"".join(base64.b64decode(data[at : at + 4]) for at in range(0, len(data), 4))
    while data:
        flag, size = data[0], int.from_bytes(data[1:5], "big")
        part, data = data[5 : 5 + size], data[5 + size :]
        assert trailers is None
        if flag == 0x80:
            lines = [line.partition(":") for line in part.decode("latin-1").split("\r\n") if line]
            trailers = {name: value.strip() for name, _, value in lines}
        else:
            assert flag == 0
            messages.append(part)
    assert trailers is not None
    return messages, trailers


def web(version: str, gateway: Gateway, kind: str, method: str, body: bytes, **fields: str) -> Any:
    sent = base64.b64encode(body) if "-text" in kind else body
    answer = ask(version, gateway, f"{SERVICE}/{method}", {"content-type": kind, "x-grpc-web": "1", **fields}, sent)
    assert answer.status == 200
    assert answer.fields["content-type"].startswith(kind.removesuffix("+proto"))
    return frames(answer)


# --- gRPC-Web


@pytest.mark.parametrize("kind", [BINARY, TEXT, "application/grpc-web"])
def test_execute(kind: str, version: str, gateway: Gateway) -> None:
    [message], trailers = web(version, gateway, kind, "Execute", prefixed(execute("A", "none")))
    results = batch_pb2.ExecuteResponse.FromString(message).results
    assert [(result.id, result.status) for result in results] == [("0", 200), ("1", 404)]
    assert json.loads(results[0].body) == {"a": "ä"}
    assert trailers == {"grpc-status": "0"}


@pytest.mark.parametrize("kind", [BINARY, TEXT])
def test_batch_streams_its_results(kind: str, version: str, gateway: Gateway) -> None:
    several = [
        batch_pb2.BatchRequest(options=grpc_client.options("/svc/"), calls=[grpc_client.call("1", "A")]),
        batch_pb2.BatchRequest(calls=[grpc_client.call("2", "A"), grpc_client.call("3", "slow")]),
    ]
    body = b"".join(prefixed(message.SerializeToString()) for message in several)
    messages, trailers = web(version, gateway, kind, "Batch", body)
    answers = [batch_pb2.BatchResponse.FromString(message) for message in messages]
    assert sorted(result.id for answer in answers for result in answer.results) == ["1", "2", "3"]
    assert len(answers) > 1
    assert answers[-1].summary.calls == 3
    assert trailers == {"grpc-status": "0"}


@pytest.mark.parametrize("method", ["BatchJson", "BatchHttp"])
def test_documents(method: str, version: str, gateway: Gateway) -> None:
    document = rest.encode({"requests": [rest.get_call("1", "A")]})
    whole = httpbody_pb2.HttpBody(content_type=JSON, data=document).SerializeToString()
    messages, trailers = web(
        version, gateway, BINARY, method, prefixed(whole), **{"batchwire-route": "/svc/", "odata-version": "4.01"}
    )
    parts = [httpbody_pb2.HttpBody.FromString(message) for message in messages]
    [answer] = json.loads(b"".join(part.data for part in parts))["responses"]
    assert (answer["id"], answer["status"], answer["body"]) == ("1", 200, {"a": "ä"})
    assert trailers == {"grpc-status": "0"}


def test_text_in_pieces_that_are_padded_each(gateway: Gateway) -> None:
    """Browsers encode what they have, and go on."""
    body = prefixed(execute("A"))
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", f"{SERVICE}/Execute", {"content-type": TEXT, "transfer-encoding": "chunked"})
        for at in range(0, len(body), 7):
            for byte in base64.b64encode(body[at : at + 7]):
                wire.chunk(bytes([byte]))
        wire.chunk(b"")
        told = wire.answer()
    messages, trailers = frames(Answer(told.status, {name.lower(): value for name, value in told.headers}, told.body))
    assert trailers == {"grpc-status": "0"}
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("method", "body", "code", "reason"),
    [
        ("Execute", prefixed(execute("A", route="/no/")), 5, "UnknownRoute"),
        ("Execute", b"", 12, "NoMessage"),
        ("Execute", prefixed(execute("A")) * 2, 12, "TooManyMessages"),
        ("Execute", prefixed(b"\xff"), 3, None),
        ("Execute", prefixed(execute("A"), 1), 12, "UnknownEncoding"),
        ("Execute", b"\x07\0\0\0\0", 3, "BadMessage"),
        ("Execute", b"\0\x7f\0\0\0", 8, "MessageTooLarge"),
        ("BatchHttp", prefixed(b"\xff"), 3, "BadMessage"),
        ("Nothing", prefixed(b""), 12, "UnknownMethod"),
    ],
)
def test_errors_are_in_the_trailers(
    method: str, body: bytes, code: int, reason: str | None, version: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    messages, trailers = web(version, gateway, BINARY, method, body)
    assert messages == []
    assert trailers["grpc-status"] == str(code)
    assert trailers["grpc-message"]
    raw = trailers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(raw + "=" * (-len(raw) % 4)))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert reason in (None, info.reason)
    assert upstream.lines == [] or method == "Execute"


def test_a_deadline(version: str, gateway: Gateway) -> None:
    [message], trailers = web(
        version, gateway, BINARY, "Execute", prefixed(execute("A", "slow")), **{"grpc-timeout": "300m"}
    )
    results = batch_pb2.ExecuteResponse.FromString(message).results
    assert [result.status for result in results] == [200, 504]
    assert trailers["grpc-status"] == "0"


def test_a_client_that_leaves_stops_its_batch(version: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    body = prefixed(execute("held"))
    try:
        if version == "HTTP/2":
            with Http2Wire(gateway.http_port) as wire:
                stream = wire.open(request("POST", f"{SERVICE}/Execute", [("content-type", BINARY)]))
                wire.send(stream, body, end=True)
                gateway.wait(lambda: upstream.lines == ["GET /held"], "the call")
                wire.reset(stream)
                gateway.wait_idle()
        else:
            with rest.Wire(gateway.http_port) as older:
                older.begin("POST", f"{SERVICE}/Execute", {"content-type": BINARY, "content-length": str(len(body))})
                older.send(body)
                gateway.wait(lambda: upstream.lines == ["GET /held"], "the call")
                older.reset()
                gateway.wait_idle()
    finally:
        gate.open()


# --- Connect


def test_connect_in_json(version: str, gateway: Gateway) -> None:
    body = {"options": {"route": "/svc/"}, "calls": [{"id": "1", "method": "GET", "url": "A"}]}
    fields = {"content-type": JSON, "connect-protocol-version": "1"}
    answer = ask(version, gateway, f"{SERVICE}/Execute", fields, rest.encode(body))
    assert (answer.status, answer.fields["content-type"]) == (200, JSON)
    told = json.loads(answer.body)
    [result] = told["results"]
    assert (result["id"], result["status"], result["outcome"]) == ("1", 200, "OUTCOME_SUCCEEDED")
    assert json.loads(base64.b64decode(result["body"])) == {"a": "ä"}
    assert told["summary"]["calls"] == "1"


def test_connect_in_protobuf(version: str, gateway: Gateway) -> None:
    answer = ask(version, gateway, f"{SERVICE}/Execute", {"content-type": PROTO}, execute("A", "none"))
    assert (answer.status, answer.fields["content-type"]) == (200, PROTO)
    results = batch_pb2.ExecuteResponse.FromString(answer.body).results
    assert [result.status for result in results] == [200, 404]


@pytest.mark.parametrize(
    ("method", "fields", "body", "status", "code"),
    [
        ("Execute", {}, b'{"calls":[', 400, "invalid_argument"),
        ("Execute", {}, b'{"nothing":1}', 400, "invalid_argument"),
        ("Execute", {}, b'{"options":{"route":"/no/"}}', 404, "not_found"),
        ("Execute", {}, b'{"calls":[{"id":"1"},{"id":"1"}]}', 400, "invalid_argument"),
        ("Execute", {"connect-timeout-ms": "soon"}, b"{}", 400, "invalid_argument"),
        ("Execute", {"content-encoding": "br"}, b"{}", 501, "unimplemented"),
        ("Execute", {"content-type": PROTO}, b"\xff", 400, "invalid_argument"),
        ("Batch", {}, b"{}", 501, "unimplemented"),
        ("Other", {}, b"{}", 501, "unimplemented"),
        ("", {}, b"{}", 501, "unimplemented"),
    ],
)
def test_connect_errors(
    method: str,
    fields: dict[str, str],
    body: bytes,
    status: int,
    code: str,
    version: str,
    gateway: Gateway,
    upstream: ScriptedUpstream,
) -> None:
    answer = ask(version, gateway, f"{SERVICE}/{method}", {"content-type": JSON, **fields}, body)
    assert (answer.status, answer.fields["content-type"]) == (status, JSON)
    told = json.loads(answer.body)
    assert told["code"] == code
    assert told["message"]
    assert told["details"][0]["type"] == "google.rpc.ErrorInfo"
    assert upstream.lines == []


def test_connect_messages_have_a_bound(gateway: Gateway) -> None:
    answer = ask("HTTP/1.1", gateway, f"{SERVICE}/Execute", {"content-type": PROTO}, bytes((4 << 20) + 1))
    assert answer.status == 429
    assert json.loads(answer.body)["code"] == "resource_exhausted"


def test_connect_deadline(version: str, gateway: Gateway) -> None:
    fields = {"content-type": PROTO, "connect-timeout-ms": "300"}
    answer = ask(version, gateway, f"{SERVICE}/Execute", fields, execute("A", "slow"))
    assert [result.status for result in batch_pb2.ExecuteResponse.FromString(answer.body).results] == [200, 504]


# --- web pages


def test_a_page_that_is_allowed(version: str, open_gateway: Gateway) -> None:
    wanted = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web"}
    before = ask(version, open_gateway, f"{SERVICE}/Execute", wanted, method="OPTIONS")
    assert before.status == 204
    assert before.fields["access-control-allow-origin"] == PAGE
    assert before.fields["access-control-allow-methods"] == "POST"
    assert before.fields["access-control-allow-headers"] == "x-grpc-web"
    for kind, body in ((BINARY, prefixed(execute("A"))), (PROTO, execute("A"))):
        answer = ask(version, open_gateway, f"{SERVICE}/Execute", {"content-type": kind, "origin": PAGE}, body)
        assert answer.status == 200
        assert answer.fields["access-control-allow-origin"] == PAGE
        assert answer.fields["vary"] == "origin"
        assert "grpc-status" in answer.fields["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://other.example", "https://pages.example.evil", "null"])
def test_a_page_that_is_not(origin: str, version: str, open_gateway: Gateway) -> None:
    for method, fields, body in (
        ("OPTIONS", {"access-control-request-method": "POST"}, None),
        ("POST", {"content-type": PROTO}, execute("A")),
    ):
        answer = ask(version, open_gateway, f"{SERVICE}/Execute", {"origin": origin, **fields}, body, method)
        assert not [name for name in answer.fields if name == "access-control-allow-origin"]


def test_no_page_is_allowed_by_default(version: str, gateway: Gateway) -> None:
    answer = ask(version, gateway, f"{SERVICE}/Execute", {"origin": PAGE, "content-type": PROTO}, execute("A"))
    assert "access-control-allow-origin" not in answer.fields


def test_the_log_of_the_gateway_stays_clean(version: str, gateway: Gateway) -> None:
    """Whatever a body is, it is answered and not told as a failure of the gateway."""
    for body in (b"\0", b"\0\0\0\0\x05ab", b"!!!", bytes(range(256))):
        for kind in (BINARY, TEXT, JSON, PROTO):
            assert ask(version, gateway, f"{SERVICE}/Execute", {"content-type": kind}, body).status in (200, 400)
    assert not [entry for entry in gateway.logs() if "raw" in entry or entry.get("level") in ("error", "critical")]
