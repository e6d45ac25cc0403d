"""Heads that come in one piece are answered in several turns of the loop, so that other clients have theirs (PL-01).

HPACK makes 4 KB of one byte, and HTTP/1.1 lets requests follow each other. Requests of a turn are counted, not seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from batchwire.core.front.http1 import Http1Connection
from batchwire.core.front.http1_acceptor import Http1Acceptor
from batchwire.core.front.http2 import Http2Connection
from harness.http2 import (
    END_HEADERS,
    END_STREAM,
    PREFACE,
    WINDOW,
    Kind,
    Setting,
    block,
    data,
    frame,
    headers,
    indexed,
    literal,
    request,
    window_update,
)
from harness.http2 import settings as h2_settings
from in_process import BareDesk, bare_front

H2_TURN, H1_TURN = 131072, 65536
"""Bytes of heads."""
TURN_WRITTEN, WRITE, READ, LARGE = 524_288, 300_000, 262_144, 8 << 20
"""Bytes of bodies."""


class CountingDesk(BareDesk):
    """How many requests are answered, and hear of their bodies, in each turn of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self.opened: Counter[int] = Counter()

    def open_http(self, stream: Any) -> tuple[None, None, Any]:
        self.opened[self.turn] += 1
        return super().open_http(stream)

    async def answers(self, count: int) -> None:
        """Counts the turns until so many requests have been answered."""
        async with asyncio.timeout(30):
            while self.opened.total() < count:
                self.turn += 1
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def sending(port: int, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        yield reader
    finally:
        writer.close()


async def test_PL_01_heads_of_http2_are_answered_in_turns() -> None:
    count, servicer = 300, CountingDesk()
    entry = literal("accept", "a" * 3900, first=0x40)
    head, flags = block(request()), END_HEADERS | END_STREAM
    frames = [frame(Kind.HEADERS, flags, 1, head + entry)]
    frames += [frame(Kind.HEADERS, flags, stream, head + indexed(62)) for stream in range(3, 2 * count, 2)]
    async with bare_front(servicer) as (port, _), sending(port, PREFACE + h2_settings() + b"".join(frames)):
        await servicer.answers(count)
    assert max(servicer.opened.values()) <= H2_TURN // 3900 + 1


async def test_PL_01_nothing_of_a_turn_that_is_cut_is_lost() -> None:
    """Bodies, too, and what comes while others wait."""
    count, servicer = 300, EchoLength()
    pieces = [PREFACE, h2_settings()]
    for stream in range(1, 2 * count, 2):
        pieces += [headers(stream, request("POST", "/", ("x", "y" * 1000)), end=False), data(stream, b"1" * 100)]
        pieces += [data(stream, b"1" * stream, end=True)]
    async with bare_front(servicer) as (port, _), sending(port, b"".join(pieces)):
        async with asyncio.timeout(30):
            lengths = [await servicer.lengths.get() for _ in range(count)]
    assert sorted(lengths) == [100 + stream for stream in range(1, 2 * count, 2)]


class EchoLength(BareDesk):
    """Notes how long the body of each request was."""

    def __init__(self) -> None:
        self.lengths: asyncio.Queue[int] = asyncio.Queue()
        self.tasks: set[asyncio.Task[None]] = set()

    def serve(self, exchange: Any) -> None:
        self.tasks.add(asyncio.ensure_future(self._read(exchange)))

    async def _read(self, exchange: Any) -> None:
        size = 0
        while part := await exchange.read():
            size += len(part)
        self.lengths.put_nowait(size)
        exchange.start(200, [], False)


class Pipe:
    """A transport whose client takes everything at once. written: bytes, in each turn of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self.written: Counter[int] = Counter()
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written[self.turn] += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> object:
        # With TLS there is no way around the transport.
        return self if name == "ssl_object" else None

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class LargeAnswers(BareDesk):
    def serve(self, exchange: Any) -> None:
        exchange.start(200, [], True)
        exchange.write(bytes(LARGE))
        exchange.end()


@pytest.mark.parametrize("version", [1, 2])
async def test_PL_01_a_large_answer_is_written_in_turns(version: int) -> None:
    """To a client that is as fast as the gateway."""
    pipe = Pipe()
    async with bare_front(LargeAnswers()) as (_, acceptor):
        connection: Any
        if version == 1:
            connection = Http1Connection(Http1Acceptor(asyncio.get_running_loop(), LargeAnswers()))
            sent = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        else:
            connection = Http2Connection(acceptor)
            most = 2**31 - 1
            sent = PREFACE + h2_settings({Setting.INITIAL_WINDOW_SIZE: most}) + window_update(0, most - WINDOW)
            sent += headers(1, request())
        connection.connection_made(pipe)
        connection.data_received(sent)
        while pipe.written.total() < LARGE:
            pipe.turn += 1
            assert pipe.turn < 1000
            await asyncio.sleep(0)
        connection.connection_lost(None)
    assert max(pipe.written.values()) < TURN_WRITTEN + WRITE


async def test_PL_01_a_long_body_is_read_in_turns() -> None:
    """One long read of HTTP/1.1 a turn: libuv would read again and again."""
    pipe, servicer = Pipe(), EchoLength()
    connection: Any = Http1Connection(Http1Acceptor(asyncio.get_running_loop(), servicer))
    connection.connection_made(pipe)
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
    assert pipe.reading
    for _ in range(LARGE // READ):
        connection.data_received(bytes(READ))
        assert not pipe.reading
        for _ in range(10):
            await asyncio.sleep(0)
        assert pipe.reading
    assert await servicer.lengths.get() == LARGE
    connection.connection_lost(None)


async def test_PL_01_heads_of_http1_are_answered_in_turns() -> None:
    count, servicer = 8, CountingDesk()
    loop = asyncio.get_running_loop()
    acceptor = Http1Acceptor(loop, servicer)
    server = await loop.create_server(lambda: Http1Connection(acceptor), "127.0.0.1", 0)
    head = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: " + b"a" * 30_000 + b"\r\n\r\n"
    async with server, sending(server.sockets[0].getsockname()[1], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as reader:
        await reader.readuntil(b"\r\n\r\n")
        servicer.opened.clear()
        [connection] = acceptor.connections
        connection.data_received(head * count)  # as one read of a socket may give it
        await servicer.answers(count)
        async with asyncio.timeout(30):
            for _ in range(count):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    # One is begun when it has come, those behind it when it has its answer.
    assert max(servicer.opened.values()) <= 1 + H1_TURN // 30_000 + 1
