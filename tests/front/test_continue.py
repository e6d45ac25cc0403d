"""100 Continue is said once, however often a head expects it (RFC 9110 10.1.1)."""

from __future__ import annotations

import pytest
from harness import rest
from harness.gateway import Gateway
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
