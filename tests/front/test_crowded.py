"""PL-13 from a client's socket: large batches at once above the bound of the process, over each protocol.

All end right, a small one beside them does not wait, and nothing stays counted. Clients run in threads, the front in
the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h2.exceptions
import pytest
from batchwire.core.session.crowd import stats
from batchwire.v1 import batch_pb2
from harness import grpc_client, grpc_wire, rest
from harness.grpc_wire import answer_of, head, messages_of, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Gate, Received, Reply, ScriptedUpstream
from in_process import come_true, whole_front

BOUND, BODY, CALLS, BATCHES = 1 << 20, 1 << 18, 8, 6
"""Of the process; of a call; of a batch; at once: twelve times the bound."""
LIMITS = {"max_request_bytes_in_process": BOUND, "max_pending_bytes": BOUND, "max_call_bytes": BOUND}
PATIENCE = 60.0
NOTHING = {"request_held": 0, "request_waiting": 0}
GZIP = [("grpc-encoding", "gzip")]
JSON_HEAD = {"Content-Type": "application/json", **rest.STRICT}
pytestmark = pytest.mark.timeout(120)


def document(count: int, size: int) -> bytes:
    calls = [
        {"id": str(n), "method": "POST", "url": "x", "headers": {"content-type": "text/plain"}, "body": "x" * size}
        for n in range(count)
    ]
    return json.dumps({"requests": calls}).encode()


def messages(count: int, size: int, packed: bool = False) -> bytes:
    """One call in each. packed: with gzip."""
    found = b""
    for n in range(count):
        options = grpc_client.options() if n == 0 else None
        call = grpc_client.call(str(n), "x", "POST", body=b"x" * size)
        made = grpc_client.message(call, options=options).SerializeToString()
        found += prefixed(gzip.compress(made), 1) if packed else prefixed(made)
    return found


def statuses_of(document: bytes) -> list[int]:
    found = json.loads(document)
    assert "responses" in found, found
    return [entry["status"] for entry in found["responses"]]


def statuses_in(found: list[bytes]) -> list[int]:
    return [one.status for one in grpc_client.results_of(batch_pb2.BatchResponse.FromString(part) for part in found)]


def by_http1(port: int, count: int, size: int) -> list[int]:
    return statuses_of(rest.request(port, "POST", "/svc/$batch", JSON_HEAD, document(count, size)).body)


def by_http2(port: int, count: int, size: int) -> list[int]:
    with Http2Wire(port) as wire:
        fields = [(name.lower(), value) for name, value in JSON_HEAD.items()]
        stream = wire.open(request("POST", "/svc/$batch", fields))
        with contextlib.suppress(h2.exceptions.ProtocolError):  # answered before it was all sent
            wire.send(stream, document(count, size), end=True)
        return statuses_of(bytes(wire.answer(stream, PATIENCE).data))


def by_grpc(port: int, count: int, size: int, packed: bool = False) -> list[int]:
    with Http2Wire(port) as wire:
        stream = wire.open(head("Batch", GZIP if packed else ()))
        with contextlib.suppress(h2.exceptions.ProtocolError):
            wire.send(stream, messages(count, size, packed), end=True)
        answer = answer_of(wire.answer(stream, PATIENCE))
    assert answer.code == 0, answer
    return statuses_in(answer.messages)


def by_packed(port: int, count: int, size: int) -> list[int]:
    return by_grpc(port, count, size, packed=True)


def by_connect(port: int, count: int, size: int) -> list[int]:
    fields = {"Content-Type": "application/connect+proto"}
    body = rest.request(port, "POST", f"{grpc_wire.SERVICE}/Batch", fields, messages(count, size)).body
    last = prefixed(b"{}", 2)
    assert body.endswith(last), body[-200:]
    return statuses_in(messages_of(body.removesuffix(last)))


WAYS: dict[str, Callable[[int, int, int], list[int]]] = {
    "http1": by_http1,
    "http2": by_http2,
    "grpc": by_grpc,
    "packed": by_packed,
    "connect": by_connect,
}


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    """Until it opens, the upstream answers small calls alone."""
    held = upstream.gate()

    def reply(asked: Received) -> Reply:
        return Reply(204, gate=held if len(asked.body) > 100 else None)

    upstream.fallback = reply
    yield held
    held.open()


@pytest.fixture
async def port(upstream: ScriptedUpstream) -> AsyncIterator[int]:
    async with whole_front(upstream.origin, **LIMITS) as (port, _):
        yield port
    await come_true(lambda: stats() == NOTHING)


@pytest.fixture(autouse=True)
async def _threads() -> None:
    """As many as there are clients, on a machine of any size."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * BATCHES))


def crowd(way: str, port: int) -> list[asyncio.Future[Any]]:
    return [asyncio.ensure_future(asyncio.to_thread(WAYS[way], port, CALLS, BODY)) for _ in range(BATCHES)]


@pytest.mark.parametrize("way", WAYS)
async def test_PL_13_all_batches_end_and_a_small_one_is_answered_meanwhile(way: str, port: int, gate: Gate) -> None:
    large = crowd(way, port)
    await come_true(lambda: stats()["request_waiting"] > 0)
    for other in WAYS.values():
        assert await asyncio.to_thread(other, port, 1, 10) == [204]
    assert not any(task.done() for task in large)
    # The bound, and the window of HTTP/2 and the unfinished call that each batch has besides.
    assert stats()["request_held"] < BOUND + BATCHES * 3 * BODY
    gate.open()
    assert await asyncio.gather(*large) == [[204] * CALLS] * BATCHES
    await come_true(lambda: stats() == NOTHING)


@pytest.mark.parametrize("way", ["http1", "http2", "grpc", "packed"])
async def test_PL_13_a_client_that_goes_while_it_waits_leaves_nothing(way: str, port: int, gate: Gate) -> None:
    gone: list[socket.socket] = []

    def begin() -> None:
        if way == "http1":
            wire = rest.Wire(port)
            gone.append(wire.socket)
            text = document(CALLS, BODY)
            wire.begin("POST", "/svc/$batch", {**JSON_HEAD, "Content-Length": str(len(text))})
            wire.send(text)
            return
        other = Http2Wire(port)
        gone.append(other.socket)
        if way in ("grpc", "packed"):
            other.send(other.open(head("Batch", GZIP)), messages(CALLS, BODY, way == "packed"))
        else:
            fields = [(name.lower(), value) for name, value in JSON_HEAD.items()]
            other.send(other.open(request("POST", "/svc/$batch", fields)), document(CALLS, BODY))

    tasks = [asyncio.ensure_future(asyncio.to_thread(begin)) for _ in range(BATCHES)]
    await come_true(lambda: stats()["request_waiting"] > 0)
    for one in gone:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in gone:
        one.close()
    await come_true(lambda: stats() == NOTHING)
    gate.open()


@pytest.mark.parametrize("way", ["connect"])
async def test_PL_13_who_waits_too_long_is_told_so(way: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    """Each client gets all its results, or is told that there was no room."""
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 1}) as (port, _):
        large = crowd(way, port)
        await come_true(lambda: stats()["request_waiting"] > 0)
        await come_true(lambda: stats()["request_waiting"] == 0)
        gate.open()
        found = await asyncio.gather(*large, return_exceptions=True)
    refused = [one for one in found if one != [204] * CALLS]
    assert refused
    assert all("NoRoom" in str(one) for one in refused), refused
    assert stats() == NOTHING
