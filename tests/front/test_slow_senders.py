"""PL-13 from a client's socket: who sends slowly what it has begun holds up others for a while, and is cut then.

Clients run in threads, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import h2.exceptions
import pytest
from batchwire.core.faults import arm
from batchwire.core.session.crowd import stats
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.grpc_wire import SERVICE, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Received, Reply, ScriptedUpstream
from in_process import closed, come_true, whole_front

MIB = 1 << 20
BOUND, BODY, CLIENTS = 32 * MIB, 8 * MIB, 6
"""Of the process; of a call; slow clients, which have sent three quarters of theirs: more than the bound."""
LIMITS = {
    "max_request_bytes_in_process": BOUND,
    "max_call_bytes": 2 * BODY,
    "max_pending_bytes": 2 * BODY,
    "grpc_max_message_bytes": 2 * BODY,
}
NOTHING = {"request_held": 0, "request_waiting": 0}
PIECE, PAUSE = 20, 0.1
WAYS = {
    "json": ("/svc/$batch", "application/json", "1.1"),
    "json-2": ("/svc/$batch", "application/json", "2"),
    "multipart": ("/svc/$batch", "multipart/mixed;boundary=b", "1.1"),
    "multipart-2": ("/svc/$batch", "multipart/mixed;boundary=b", "2"),
    "proto": (f"{SERVICE}/Execute", "application/proto", "1.1"),
    "grpc": (f"{SERVICE}/Batch", "application/grpc", "2"),
    "grpc-execute": (f"{SERVICE}/Execute", "application/grpc", "2"),
    "grpc-web": (f"{SERVICE}/Batch", "application/grpc-web+proto", "1.1"),
}
pytestmark = pytest.mark.timeout(120)


def body_of(way: str, size: int) -> bytes:
    """A batch of one call."""
    if way.startswith("json"):
        fields = {"headers": {"content-type": "text/plain"}, "body": "x" * size}
        return json.dumps({"requests": [{"id": "1", "method": "POST", "url": "x", **fields}]}).encode()
    if way.startswith("multipart"):
        head = b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        return head + b"POST x HTTP/1.1\r\n\r\n" + b"x" * size + b"\r\n--b--\r\n"
    call = grpc_client.call("1", "x", "POST", body=b"x" * size)
    made = batch_pb2.ExecuteRequest(calls=[call], options=grpc_client.options()).SerializeToString()
    return made if way == "proto" else prefixed(made)


def trickle(send: Callable[[bytes], None], rest_of: bytes, heard: Callable[[], bool], end: threading.Event) -> None:
    """Sends a little now and then, until there is an answer or the test ends."""
    at = 0
    while not end.wait(PAUSE) and not heard():
        send(rest_of[at : at + PIECE])
        at += PIECE


def ask(port: int, way: str, size: int, end: threading.Event | None = None) -> bytes:
    """What is answered. end: three quarters are sent at once, then a little at a time until it is set; None: all."""
    path, media, version = WAYS[way]
    body = body_of(way, size)
    cut = len(body) if end is None else len(body) * 3 // 4
    fields = {"content-type": media, **(rest.STRICT if path.startswith("/svc") else {})}
    if version == "1.1":
        with rest.Wire(port, timeout=60) as wire:
            wire.begin("POST", path, {**fields, "content-length": str(len(body))})
            with contextlib.suppress(ConnectionError):
                wire.send(body[:cut])
                if end is not None:
                    trickle(wire.send, body[cut:], lambda: answered(wire.socket), end)
            if end is not None and end.is_set():
                return b""
            answer = wire.answer()
            return str(answer.status).encode() + answer.body
    with Http2Wire(port) as other:
        stream = other.open(request("POST", path, [*((k.lower(), v) for k, v in fields.items()), ("te", "trailers")]))

        def push(data: bytes) -> None:
            while len(data) > other.room(stream):  # who waits for room is not slow
                other.wait(lambda: other.room(stream) >= len(data) or other.heard[stream].ended, "room", 60)
            other.send(stream, data)

        def over() -> bool:
            if readable(other.socket):
                other.start_queued()
            return other.closed or other.heard[stream].ended or other.heard[stream].reset is not None

        with contextlib.suppress(h2.exceptions.ProtocolError, ConnectionError):
            for at in range(0, cut, 8192):
                push(body[at : min(at + 8192, cut)])
            if end is None:
                other.end(stream)
            else:
                trickle(push, body[cut:], over, end)
        if end is not None and end.is_set():
            return b""
        heard = other.answer(stream, 60)
        return repr(heard.headers + heard.trailers).encode() + bytes(heard.data)


def readable(wire: socket.socket) -> bool:
    return bool(select.select([wire], [], [], 0)[0])


def answered(wire: socket.socket) -> bool:
    """Whether more has come than the head of an answer (gRPC-Web) or the question for the client (FR-06)."""
    heard = wire.recv(4000, socket.MSG_PEEK) if readable(wire) else b"HTTP/1.1 1"
    return not heard.startswith(b"HTTP/1.1 1") and (not heard.startswith(b"HTTP/1.1 200") or b"0\r\n\r\n" in heard)


@pytest.fixture(autouse=True)
async def _threads(upstream: ScriptedUpstream) -> None:
    def reply(_: Received) -> Reply:
        return Reply(204)

    upstream.fallback = reply
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * CLIENTS))


def crowd(port: int, way: str, end: threading.Event) -> list[asyncio.Future[bytes]]:
    return [asyncio.ensure_future(asyncio.to_thread(ask, port, way, BODY, end)) for _ in range(CLIENTS)]


def went_well(answer: bytes) -> bool:
    """Whether the call has its 204, in any dialect."""
    return b'"status":204' in answer or b"HTTP/1.1 204" in answer or b"\x10\xcc\x01" in answer


@pytest.mark.parametrize("way", WAYS)
async def test_PL_13_who_sends_little_does_not_wait_for_slow_large_ones(
    way: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    async with whole_front(upstream.origin, **LIMITS) as (port, _):
        others = crowd(port, way, end)
        await come_true(lambda: stats()["request_waiting"] > 0)
        for size in (200_000, 900_000):
            for other in WAYS:
                answer = await asyncio.to_thread(ask, port, other, size)
                assert went_well(answer), (other, size, answer[:300])
        assert stats()["request_waiting"] > 0
        assert not any(task.done() for task in others)
        end.set()
    await asyncio.gather(*others)
    await closed()
    await come_true(lambda: stats() == NOTHING)


@pytest.mark.parametrize("way", WAYS)
async def test_PL_13_slow_ones_are_cut_until_the_others_go_on(
    way: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    """A large one that is fast comes through, and the slow ones are told why they do not."""
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 4}) as (port, _):
        others = crowd(port, way, end)
        await come_true(lambda: stats()["request_waiting"] > 0)
        answer = await asyncio.to_thread(ask, port, way, BODY)
        assert went_well(answer), answer[:300]
        await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        told = [task.result() for task in others if task.done()]
        assert any(b"others wait for it" in said for said in told), told
        # Nobody knows of one that has not come to the turn that it is slow.
        assert all(b"others wait for it" in said or b"max_request_bytes_in_process" in said for said in told), told
        end.set()
    await asyncio.gather(*others)
    await closed()
    await come_true(lambda: stats() == NOTHING)


@pytest.mark.parametrize("way", ["json", "grpc-execute", "grpc-web"])
async def test_PL_13_who_waits_with_what_it_has_sent_is_never_cut(
    way: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    """Large ones that are fast wait for each other and for the slow, with a part of theirs before the gateway."""
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 16}) as (port, _):
        others = crowd(port, way, end)
        await come_true(lambda: stats()["request_waiting"] > 0)
        answers = await asyncio.gather(*(asyncio.to_thread(ask, port, way, BODY) for _ in range(2)))
        assert all(map(went_well, answers)), [answer[:300] for answer in answers]
        end.set()
    await asyncio.gather(*others)
    await closed()
    await come_true(lambda: stats() == NOTHING)


class Injected(Exception):
    """What the tests make the core raise."""


@pytest.mark.parametrize(
    ("way", "place"), [("json", "make_way"), ("grpc-execute", "front.make_way"), ("grpc-web", "front.make_way")]
)
async def test_BU_04_a_fault_where_one_is_cut_costs_that_one(
    way: str, place: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    passed = 0

    def hook(passes: str) -> None:
        nonlocal passed
        if passes == place:
            passed += 1
            if passed == 1:
                raise Injected(place)

    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 4}) as (port, _):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        arm(hook)
        try:
            others = crowd(port, way, end)
            await come_true(lambda: passed > 0)
            assert went_well(await asyncio.to_thread(ask, port, way, BODY))
        finally:
            arm(None)
            end.set()
    await asyncio.gather(*others, return_exceptions=True)
    await closed()
    await come_true(lambda: stats() == NOTHING)
