"""Several tasks of an application may wait for the same stream: none is forgotten, and one may be cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from batchwire.core.front.http1 import Http1Connection
from batchwire.core.front.http1_acceptor import Http1Acceptor
from in_process import BareDesk

LARGE = 32 << 20
"""More than the sockets of both sides hold."""


class WaitingDesk(BareDesk):
    """Answers with LARGE bytes, or with what came, when all of its tasks have gone on."""

    def __init__(self, reads: bool) -> None:
        self.reads = reads
        self.waiting = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def serve(self, exchange: Any) -> None:
        self.task = asyncio.ensure_future(self.run(exchange))

    async def run(self, exchange: Any) -> None:
        exchange.start(200, [], True)
        if not self.reads:
            exchange.write(b"x" * LARGE)
        waits = [asyncio.ensure_future(exchange.read() if self.reads else exchange.drain()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waits)
        waits[1].cancel()
        self.waiting.set()
        found = await asyncio.gather(*waits, return_exceptions=True)
        assert isinstance(found[1], asyncio.CancelledError)
        exchange.write(b"".join(part for part in found if isinstance(part, bytes)) + b"all went on")
        exchange.end()


async def answer_of(servicer: WaitingDesk, head: bytes, body: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    acceptor = Http1Acceptor(loop, servicer)
    server = await loop.create_server(lambda: Http1Connection(acceptor), "127.0.0.1", 0)
    async with asyncio.timeout(30), server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(head)
        await servicer.waiting.wait()
        writer.write(body)
        found = await reader.read()
        writer.close()
        return found


async def test_OP_05_several_tasks_wait_until_the_client_takes() -> None:
    found = await answer_of(WaitingDesk(False), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"")
    assert b"all went on" in found[-100:]
    assert len(found) > LARGE


async def test_OP_05_several_tasks_wait_for_the_body() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
    assert b"abcall went on" in await answer_of(WaitingDesk(True), head, b"abc")
