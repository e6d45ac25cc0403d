"""Heads that come in one piece are answered in several turns of the loop, so that other clients have theirs (PL-01).

HPACK makes 4 KB of one byte, and HTTP/1.1 lets requests follow each other. Requests of a turn are counted, not seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from batchwire.core.front.http1 import Http1Connection
from batchwire.core.front.http1_acceptor import Http1Acceptor
from harness.http2 import END_HEADERS, END_STREAM, PREFACE, Kind, block, data, frame, headers, indexed, literal, request
from harness.http2 import settings as h2_settings
from in_process import BareDesk, bare_front

H2_TURN, H1_TURN = 131072, 65536
"""Bytes of heads."""


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
