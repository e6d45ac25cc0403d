"""AN-05: when a client has its answer, or has gone, its batch counts no more, whoever still holds that.

The client runs in a thread, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from batch_messages import batch
from batchwire.core import Session
from batchwire.core.dispatch.inflow import stats
from batchwire.service.fronts.listening.grpcio import GrpcFront
from batchwire.service.state import Service
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from harness import rest
from harness.grpc_wire import SERVICE, head, prefixed
from harness.http2_wire import Fields, Http2Wire, request
from harness.scripted import Received, Reply, ScriptedUpstream
from in_process import WEB_KINDS, closed, come_true, whole_front

BODY = 3_000_000
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]
DOCUMENT = rest.encode({"requests": [rest.get_call("1", "A")]})
LARGE = rest.encode({"requests": [rest.get_call("1", "B")]})  # more than the system takes for a client
pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_collected")]


@pytest.fixture
async def front(upstream: ScriptedUpstream) -> AsyncIterator[tuple[int, Service]]:
    def reply(asked: Received) -> Reply:
        return Reply(200, [("Content-Type", "text/plain")], b"x" * (4 * BODY if asked.path == "/B" else BODY))

    upstream.fallback = reply
    async with whole_front(upstream.origin) as (port, service):
        yield port, service


def counted() -> dict[str, int]:
    return {name: n for name, n in stats().items() if n}


def asked(kind: str) -> tuple[Fields, bytes]:
    if kind == "rest":
        return request("POST", "/svc/$batch", JSON), DOCUMENT
    message = batch("1")
    if kind in ("grpc", "execute"):
        return head("Batch" if kind == "grpc" else "Execute"), prefixed(message)
    method, media = WEB_KINDS[kind]
    text = message
    if kind.endswith("json"):
        text = json_format.MessageToJson(batch_pb2.BatchRequest.FromString(message)).encode()
    if not kind.startswith("unary"):
        text = prefixed(text)
    if kind == "grpc-web-text":
        text = base64.b64encode(text)
    return request("POST", f"{SERVICE}/{method}", [("content-type", media)]), text


async def held() -> Any:
    """The session of the one batch, once its answer counts."""
    await come_true(lambda: stats()["answers_out"] >= BODY - (1 << 20))
    (session,) = [one for one in gc.get_objects() if type(one) is Session]
    return session


@pytest.mark.parametrize("takes", [False, True], ids=["goes", "takes"])
@pytest.mark.parametrize("kind", ["rest", "grpc", "execute", *WEB_KINDS])
async def test_AN_05_the_batch_of_a_client_of_http2_counts_no_more(
    kind: str, takes: bool, front: tuple[int, Service]
) -> None:
    port, _ = front
    fields, data = asked(kind)
    wire = await asyncio.to_thread(Http2Wire, port, open_window=False)
    with wire:
        stream = await asyncio.to_thread(wire.open, fields)
        await asyncio.to_thread(wire.send, stream, data, end=True)
        session = await held()
        if takes:
            wire.open_window = True
            wire.h2.increment_flow_control_window(1 << 26, stream)
            wire.h2.increment_flow_control_window(1 << 26)
            wire.flush()
            answered = await asyncio.to_thread(wire.answer, stream, 60)
            assert len(answered.data) > BODY
            await come_true(lambda: not counted())
    await closed()
    assert counted() == {}
    assert session.finished


async def test_AN_05_the_batch_of_a_client_of_http1_counts_no_more(front: tuple[int, Service]) -> None:
    port, _ = front
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.to_thread(client.connect, ("127.0.0.1", port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in [*JSON, ("content-length", str(len(LARGE)))])
        client.sendall(f"POST /svc/$batch HTTP/1.1\r\nhost: a\r\n{lines}\r\n".encode() + LARGE)
        session = await held()
    await closed()
    assert counted() == {}
    assert session.finished


async def test_AN_05_the_batch_of_a_client_of_grpcio_counts_no_more(front: tuple[int, Service]) -> None:
    _, service = front
    server = GrpcFront(service, "127.0.0.1:0")
    address = await server.start()
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.http2.bdp_probe", 0),  # the window stays as it is
        ("grpc.http2.lookahead_bytes", 65536),
    ]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        method = channel.stream_stream(f"{SERVICE}/Batch")
        call = method(iter([batch("1", "2", "3")]))
        # One message is read, so that the rest waits for its client.
        first = await call.read()
        assert first is not grpc.aio.EOF
        session = await held()
        call.cancel()
    await come_true(lambda: not service.ledger.batches)
    await server.stop(0)
    assert counted() == {}
    assert session.finished
