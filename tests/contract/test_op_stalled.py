"""What the log says of a client that takes nothing of its answer, over each protocol: OP-15."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from batchwire.v1 import batch_pb2
from harness import config, grpc_client, rest
from harness.gateway import Gateway, Gateways
from harness.grpc_wire import prefixed
from harness.http2 import PREFACE, Setting, data, grpc_request, headers, request, settings, window_update
from harness.scripted import Reply, ScriptedUpstream

LARGE = Reply(200, [("Content-Type", "text/plain")], b"z" * 1_000_000)
SOME = Reply(200, [("Content-Type", "text/plain")], b"z" * 100_000)
CALLS = 60
"""Their answers are more than sockets and windows hold."""


@pytest.fixture(scope="module")
def _hasty(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    route = {"root": "/svc/", "upstream": "things", "default": True, "streaming_threshold": 1000}
    made = config.make({"things": {"url": _things.origin + "/"}}, [route], {"client_idle_seconds": 1})
    with Gateways(made, lambda: tmp_path_factory.mktemp("stalled")) as gateways:
        yield gateways


@pytest.fixture
def hasty(_hasty: Gateways, served_by: str) -> Gateway:
    """A gateway whose clients must not be idle for long."""
    return _hasty.get(served_by)


def document() -> bytes:
    return rest.encode({"requests": [rest.get_call(str(n), "large") for n in range(CALLS)]})


def one_call() -> bytes:
    """Of a batch that goes on. Its answer is all with the front when the window is full."""
    return rest.encode({"requests": [rest.get_call("0", "some")]})[:-2] + b"," + b" " * 2000


def message() -> bytes:
    calls = [grpc_client.call(str(n), "large") for n in range(CALLS)]
    return prefixed(batch_pb2.BatchRequest(options=grpc_client.options(), calls=calls).SerializeToString())


def http1(path: str, media_type: str, body: bytes, length: int = 0) -> bytes:
    """length: what the head says, where the body is only the beginning of it."""
    head = f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nOData-Version: 4.01\r\nContent-Type: {media_type}\r\n"
    return f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body


def http2(window: int, fields: list[tuple[str, str]], body: bytes, *, end: bool = True) -> bytes:
    """window: of the stream; that of the connection is as wide as can be."""
    start = PREFACE + settings({Setting.INITIAL_WINDOW_SIZE: window}) + window_update(0, (1 << 30))
    return start + headers(1, fields, end=False) + data(1, body, end=end)


ODATA = request("POST", "/svc/$batch", ("content-type", "application/json"), ("odata-version", "4.01"))
WEB = "/batchwire.v1.BatchService/Batch"
WIDE, NARROW = 1 << 30, 65535
SENT = {
    "HTTP/1.1": lambda: http1("/svc/$batch", "application/json", document()),
    "HTTP/1.1, half a batch": lambda: http1("/svc/$batch", "application/json", document()[:-2], 1 << 20),
    "HTTP/2": lambda: http2(WIDE, ODATA, document()),
    "HTTP/2, by its window": lambda: http2(NARROW, ODATA, document()),
    "HTTP/2, by its window, half a batch": lambda: http2(NARROW, ODATA, one_call(), end=False),
    "gRPC": lambda: http2(WIDE, grpc_request("Batch"), message()),
    "gRPC, by its window": lambda: http2(NARROW, grpc_request("Batch"), message()),
    "gRPC-Web": lambda: http1(WEB, "application/grpc-web+proto", message()),
}
OF_GRPCIO = {"HTTP/1.1", "HTTP/1.1, half a batch", "gRPC", "gRPC, by its window"}


@pytest.mark.both_fronts
@pytest.mark.parametrize("way", SENT)
def test_OP_15_a_client_that_takes_nothing_is_named(
    way: str, served_by: str, hasty: Gateway, upstream: ScriptedUpstream
) -> None:
    if served_by == config.GRPCIO and way not in OF_GRPCIO:
        pytest.skip("not spoken by this front")
    upstream.on("GET", "/large", LARGE)
    upstream.on("GET", "/some", SOME)
    lines = len(hasty.logs())

    def told() -> list[dict[str, Any]]:
        return [entry for entry in hasty.logs()[lines:] if entry.get("event") == "batch"]

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        grpc = way.startswith("gRPC") and way != "gRPC-Web"
        client.connect(("127.0.0.1", int(hasty.grpc_address.rpartition(":")[2]) if grpc else hasty.http_port))
        client.sendall(SENT[way]())
        hasty.wait(lambda: bool(told()), "the line of the batch")
    [line] = told()
    assert (line["ended"], line.get("code")) == ("cancelled", "ClientStalled")
    half = "while it sent its batch" in line["reason"]
    assert half == ("half" in way)
    hasty.wait_idle()
