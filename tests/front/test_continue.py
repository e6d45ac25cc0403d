"""100 Continue is said once, however often a head expects it (RFC 9110 10.1.1)."""

from __future__ import annotations

import http.client
import socket

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.grpc_wire import prefixed
from harness.http2_wire import Http2Wire, request
from harness.rest import Wire
from harness.scripted import ScriptedUpstream, json_reply

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})
EXPECTED = [("expect", "100-continue")] * 20
PATHS = {"a batch": ("/svc/$batch", 200), "Connect": ("/batchwire.v1.BatchService/Execute", 400)}


@pytest.mark.parametrize("path", PATHS)
def test_over_http1(path: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({}))
    fields = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in EXPECTED)
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with Wire(gateway.http_port) as wire:
        wire.send(head % PATHS[path][0].encode() + b"Content-Length: %d\r\n" % len(BATCH) + fields + b"\r\n")
        said = wire.socket.recv(65536)
        wire.send(BATCH)
        while part := wire.socket.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 %d " % PATHS[path][1])


@pytest.mark.parametrize("path", PATHS)
def test_over_http2(path: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({}))
    with Http2Wire(gateway.http_port) as wire:
        stream = wire.open(request("POST", PATHS[path][0], [("content-type", "application/json"), *EXPECTED]))
        wire.wait(lambda: bool(wire.heard[stream].informational), "100 Continue")
        wire.send(stream, BATCH, end=True)
        wire.wait(lambda: wire.heard[stream].ended, "the answer")
        assert [dict(fields)[":status"] for fields in wire.heard[stream].informational] == ["100"]
        assert wire.heard[stream].status == PATHS[path][1]


STREAMING = {
    "Connect stream": ("application/connect+proto", "Batch"),
    "gRPC-Web": ("application/grpc-web+proto", "Execute"),
    "gRPC-Web stream": ("application/grpc-web", "Batch"),
}


def expecting(kind: str, method: str, size: int) -> bytes:
    return (
        b"POST /batchwire.v1.BatchService/%s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n"
        b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (method.encode(), kind.encode(), size)
    )


def whole_answer(sock: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer


@pytest.mark.parametrize("way", STREAMING)
def test_a_call_that_will_be_read_is_told_to_go_on(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Before any of its answer, whose head is known from the first."""
    upstream.on("GET", "/A", json_reply({}))
    kind, method = STREAMING[way]
    made = batch_pb2.ExecuteRequest if method == "Execute" else batch_pb2.BatchRequest
    body = prefixed(made(options=grpc_client.options(), calls=[grpc_client.call("1", "A")]).SerializeToString())
    with Wire(gateway.http_port) as wire:
        wire.send(expecting(kind, method, len(body)))
        said = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.socket.recv(len(said), socket.MSG_WAITALL) == said
        wire.send(body)
        with whole_answer(wire.socket) as answer:
            assert answer.status == 200
            answer.read()
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize("way", STREAMING)
def test_a_call_that_is_refused_unread_is_not(way: str, gateway: Gateway) -> None:
    """Its answer is framed as any, and its body, which may come all the same, is taken for no request."""
    kind, method = STREAMING[way]
    body = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with Wire(gateway.http_port) as wire:
        head = expecting(kind, method, len(body))
        wire.send(head.replace(b"Expect:", b"Grpc-Timeout: x\r\nConnect-Timeout-Ms: x\r\nExpect:"))
        with whole_answer(wire.socket) as answer:
            assert answer.status == 200
            said = answer.read()
        assert b"grpc-status:3" in said or b"invalid_argument" in said
        wire.send(body + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        rest_of = b""
        while part := wire.socket.recv(65536):
            rest_of += part
        assert rest_of.count(b"HTTP/1.1 ") == 1
