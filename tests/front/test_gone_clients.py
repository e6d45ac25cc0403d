"""What is done for a call over HTTP ends with its client, and counts until then; few texts are converted at once.

PL-13, FR-10. Conversions are held at a gate and counted; clients run in threads, the front in the test's own process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from batchwire.core.session.crowd import stats
from batchwire.service.fronts.rpc import connect_json, connect_text
from harness import rest
from harness.grpc_wire import SERVICE, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Reply, ScriptedUpstream
from in_process import NOTHING as CLOSED
from in_process import WEB_KINDS, closed, come_true, whole_front

LONG, CLIENTS = 700_000, 4
"""Bytes of a text of which no two are converted at once; of such clients."""
NOTHING = {"request_held": 0, "request_waiting": 0}
KINDS = ["connect-json", "unary-json"]
pytestmark = pytest.mark.timeout(120)


def text(size: int) -> bytes:
    """A batch of one call."""
    tree = {"options": {"route": "/svc/"}, "calls": [{"id": "1", "method": "GET", "url": "x"}]}
    return json.dumps(tree).encode().ljust(size)


def body_of(kind: str, size: int) -> bytes:
    return prefixed(text(size)) if kind == "connect-json" else text(size)


class Held:
    """Stands for what a conversion holds."""


class Work:
    """A step of a call in whose place a gate is waited at, where `holds` says so."""

    def __init__(self, real: Callable[..., Any], holds: Callable[..., bool]) -> None:
        self.gate = asyncio.Event()
        self.running = self.most = self.begun = self.done = 0
        self.counted: list[int] = []
        """Bytes that counted for all requests as one of them ended."""
        self.held: list[weakref.ref[Held]] = []
        self._real = real
        self._holds = holds

    async def __call__(self, given: Any, *more: Any) -> Any:
        if not self._holds(given):
            return await self._real(given, *more)
        held = Held()
        self.held.append(weakref.ref(held))
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            found = await self._real(given, *more)
            self.done += 1
            return found
        finally:
            self.running -= 1
            self.counted.append(stats()["request_held"])


@pytest.fixture
def parsing(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Of long texts."""
    work = Work(connect_json.parse, lambda given: len(given) >= LONG)
    monkeypatch.setattr(connect_json, "parse", work)
    return work


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work(connect_text.text_of, lambda _: True)
    monkeypatch.setattr(connect_text, "text_of", work)
    return work


@pytest.fixture
async def port(upstream: ScriptedUpstream) -> AsyncIterator[int]:
    upstream.fallback = lambda _: Reply(204)
    async with whole_front(upstream.origin) as (port, _):
        yield port
    await come_true(lambda: stats() == NOTHING)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """What is let go of must not wait for the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Client:
    """Sends one call, over HTTP/1.1 or 2, and takes no answer."""

    def __init__(self, port: int, way: str, kind: str) -> None:
        self._way = way
        self._method, self._type = WEB_KINDS[kind]
        self._wire: Any = rest.Wire(port) if way == "http1" else Http2Wire(port)
        self._stream = 0

    def send(self, body: bytes) -> None:
        path = f"{SERVICE}/{self._method}"
        if self._way == "http1":
            self._wire.begin("POST", path, {"Content-Type": self._type, "Content-Length": str(len(body))})
            self._wire.send(body)
        else:
            self._stream = self._wire.open(request("POST", path, [("content-type", self._type)]))
            self._wire.send(self._stream, body, end=True)

    def go(self) -> None:
        if self._way == "reset":
            self._wire.reset(self._stream)
        else:
            self.hang_up()

    def hang_up(self) -> None:
        if self._wire.socket.fileno() < 0:
            return
        self._wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.socket.close()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("way", ["http1", "http2", "reset"])
@pytest.mark.parametrize("kind", KINDS)
async def test_PL_13_a_text_is_not_converted_for_who_has_gone(kind: str, way: str, port: int, parsing: Work) -> None:
    clients = [Client(port, way, kind) for _ in range(CLIENTS)]
    await asyncio.gather(*(asyncio.to_thread(one.send, body_of(kind, LONG)) for one in clients))
    await come_true(lambda: parsing.begun > 0 and stats()["request_held"] >= CLIENTS * LONG)
    for one in clients:
        one.go()
    await come_true(lambda: parsing.running == 0)
    assert min(parsing.counted) >= LONG, "it counts until it is let go of"
    await come_true(lambda: stats() == NOTHING)
    await come_true(lambda: all(ref() is None for ref in parsing.held))
    parsing.gate.set()
    for one in clients:
        one.hang_up()
    await closed(CLOSED)
    assert parsing.done == 0


@pytest.mark.parametrize("way", ["http1", "http2", "reset"])
@pytest.mark.parametrize("kind", KINDS)
async def test_AN_05_an_answer_is_not_converted_for_who_has_gone(kind: str, way: str, port: int, writing: Work) -> None:
    client = Client(port, way, kind)
    await asyncio.to_thread(client.send, body_of(kind, 0))
    await come_true(lambda: writing.begun > 0)
    client.go()
    await come_true(lambda: writing.running == 0)
    writing.gate.set()
    client.hang_up()
    await closed(CLOSED)
    assert writing.done == 0


def answer_to(port: int, kind: str, size: int) -> bytes:
    method, content_type = WEB_KINDS[kind]
    fields = {"Content-Type": content_type}
    return rest.request(port, "POST", f"{SERVICE}/{method}", fields, body_of(kind, size)).body


@pytest.mark.parametrize("kind", KINDS)
async def test_FR_10_long_texts_are_converted_in_turn_and_short_ones_do_not_wait(
    kind: str, port: int, parsing: Work
) -> None:
    long = [asyncio.ensure_future(asyncio.to_thread(answer_to, port, kind, LONG)) for _ in range(CLIENTS)]
    await come_true(lambda: parsing.begun > 0 and stats()["request_held"] >= CLIENTS * LONG)
    for size in (0, 30_000):
        assert b'"status": 204' in await asyncio.to_thread(answer_to, port, kind, size)
    assert (parsing.begun, parsing.done) == (1, 0)
    parsing.gate.set()
    for answer in await asyncio.gather(*long):
        assert b'"status": 204' in answer
    assert (parsing.most, parsing.done) == (1, CLIENTS)


async def test_PL_13_whose_text_is_converted_is_not_slow(upstream: ScriptedUpstream, parsing: Work) -> None:
    """Others wait for room meanwhile, as long as they may."""
    kind, last = "connect-json", 10_000
    upstream.fallback = lambda _: Reply(204)
    async with whole_front(upstream.origin, max_request_bytes_in_process=LONG, client_idle_seconds=3) as (port, _):
        method, content_type = WEB_KINDS[kind]
        with Http2Wire(port) as wire:
            stream = wire.open(request("POST", f"{SERVICE}/{method}", [("content-type", content_type)]))
            body = body_of(kind, LONG)
            await asyncio.to_thread(wire.send, stream, body[:-last])
            await come_true(lambda: stats()["request_held"] >= LONG - last)
            await asyncio.to_thread(wire.send, stream, body[-last:])
            await come_true(lambda: parsing.begun == 1)
            others = [asyncio.ensure_future(asyncio.to_thread(answer_to, port, kind, LONG)) for _ in range(CLIENTS)]
            await come_true(lambda: stats()["request_waiting"] > 0)
            for answer in await asyncio.gather(*others):
                assert b"NoRoom" in answer
            parsing.gate.set()
            wire.end(stream)
            answer = bytes((await asyncio.to_thread(wire.answer, stream)).data)
    assert b'"status": 204' in answer
    assert answer.endswith(prefixed(b"{}", 2)), answer
    await come_true(lambda: stats() == NOTHING)
