"""PL-13 from a client's socket: messages that have begun and not ended, above the bound of the process, by protocol.

All end right when their clients send the rest, a small batch beside them does not wait, and nothing stays counted.
Clients run in threads, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import h2.exceptions
import pytest
from batchwire.core.session.crowd import stats
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from harness import grpc_client, rest
from harness.grpc_wire import SERVICE, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Received, Reply, ScriptedUpstream
from in_process import closed, come_true, whole_front

BOUND, BODY, CLIENTS = 1 << 20, 700_000, 10
KEPT = 65_536 + 262_144 + 65_536
"""Of a client that waits: what any may hold, one read, and what it had been given leave to send."""
LIMITS = {"max_request_bytes_in_process": BOUND, "max_call_bytes": BOUND}
NOTHING = {"request_held": 0, "request_waiting": 0}
KINDS = {
    "grpc": ("Batch", "application/grpc"),
    "grpc-execute": ("Execute", "application/grpc"),
    "grpc-web": ("Batch", "application/grpc-web+proto"),
    "connect": ("Batch", "application/connect+proto"),
    "connect-json": ("Batch", "application/connect+json"),
    "unary": ("Execute", "application/proto"),
    "unary-json": ("Execute", "application/json"),
}
WAYS = [(kind, "2") for kind in KINDS] + [(kind, "1.1") for kind in KINDS if KINDS[kind][1] != "application/grpc"]
pytestmark = pytest.mark.timeout(120)


def message(kind: str, size: int) -> bytes:
    """The body of a request with one call."""
    call = grpc_client.call("1", "x", "POST", body=b"x" * size)
    made = batch_pb2.ExecuteRequest(calls=[call], options=grpc_client.options())
    text = json_format.MessageToJson(made).encode() if kind.endswith("json") else made.SerializeToString()
    return text if kind.startswith("unary") else prefixed(text)


def send(port: int, kind: str, version: str, size: int, go: threading.Event | None) -> bytes:
    """The body of the answer. go: behind the first half it waits for this; None: it does not."""
    method, media = KINDS[kind]
    body, path = message(kind, size), f"{SERVICE}/{method}"
    half = len(body) * 3 // 4
    if version == "1.1":
        with rest.Wire(port) as older:
            older.socket.settimeout(60)
            older.begin("POST", path, {"content-type": media, "content-length": str(len(body))})
            older.send(body[:half])
            if go is not None:
                go.wait(60)
            older.send(body[half:])
            return older.answer().body
    with Http2Wire(port) as wire:
        stream = wire.open(request("POST", path, [("content-type", media), ("te", "trailers")]))
        with contextlib.suppress(h2.exceptions.ProtocolError):  # answered before it was all sent
            wire.send(stream, body[:half])
            if go is not None:
                go.wait(60)
            wire.send(stream, body[half:], end=True)
        heard = wire.answer(stream, 60)
        return bytes(heard.data) + repr(heard.headers + heard.trailers).encode()


def went_well(kind: str, answer: bytes) -> bool:
    """Whether the answer says that the upstream has been called."""
    if kind.endswith("json"):
        text = answer if kind == "unary-json" else answer[5 : 5 + int.from_bytes(answer[1:5], "big")]
        found = json_format.ParseDict(
            json.JSONDecoder().raw_decode(text.decode("latin-1"))[0], batch_pb2.BatchResponse()
        )
        return [result.status for result in found.results] == [204]
    return batch_pb2.Result(id="1", status=204).SerializeToString() in answer


@pytest.fixture(autouse=True)
async def _threads() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * CLIENTS))


@pytest.fixture
async def port(upstream: ScriptedUpstream) -> AsyncIterator[int]:
    def reply(_: Received) -> Reply:
        return Reply(204)

    upstream.fallback = reply
    async with whole_front(upstream.origin, **LIMITS) as (port, _):
        yield port
        await closed()
    await come_true(lambda: stats() == NOTHING)


@pytest.mark.parametrize(("kind", "version"), WAYS)
async def test_PL_13_half_sent_messages_share_the_bound_and_all_end_right(kind: str, version: str, port: int) -> None:
    go = threading.Event()
    tasks = [asyncio.ensure_future(asyncio.to_thread(send, port, kind, version, BODY, go)) for _ in range(CLIENTS)]
    await come_true(lambda: stats()["request_waiting"] > 0)
    for other, its in WAYS:
        assert went_well(other, await asyncio.to_thread(send, port, other, its, 10, None)), (other, its)
    assert not any(task.done() for task in tasks)
    assert stats()["request_held"] < BOUND + CLIENTS * KEPT
    go.set()
    for answer in await asyncio.gather(*tasks):
        assert went_well(kind, answer), answer[:500]


@pytest.mark.parametrize(("kind", "version"), WAYS)
async def test_PL_13_who_sends_no_more_ends_and_lets_the_others_go_on(
    kind: str, version: str, upstream: ScriptedUpstream
) -> None:
    """Each is told that it was too slow, or that there was no room; and nothing was called."""
    go = threading.Event()
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 1}) as (port, _):
        tasks = [asyncio.ensure_future(asyncio.to_thread(send, port, kind, version, BODY, go)) for _ in range(CLIENTS)]
        await come_true(lambda: stats()["request_waiting"] > 0)
        await come_true(lambda: stats() == NOTHING)
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await closed()
    assert upstream.log == []
