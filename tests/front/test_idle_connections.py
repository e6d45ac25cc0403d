"""Thousands of connections that do nothing: what they cost, and how those that are dead are found."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from batchwire.core.front.http2 import stats as front_stats
from harness import http2
from harness.gateway import Gateway
from harness.http2 import ACK, Kind, Raw, headers, ping, request, settings
from harness.native import room_for_files
from in_process import bare_front, closed

CONNECTIONS = 3000
BYTES_EACH = 40_000
"""Of the gateway's memory, for an idle connection; measured were some 16,000, most of them nghttp2's."""
GET = request()


def test_thousands_of_idle_connections(attacked: Gateway, nothing_left: None) -> None:
    before, descriptors = attacked.rss(), attacked.fds()
    with contextlib.ExitStack() as all_of_them:
        raws = [all_of_them.enter_context(Raw(attacked.http_port)) for _ in range(CONNECTIONS)]
        for raw in raws:
            raw.send(settings(flags=ACK))
            raw.until(lambda found: found.kind == Kind.SETTINGS and found.flags == ACK)
        assert attacked.fds() - descriptors >= CONNECTIONS
        each = (attacked.rss() - before) / CONNECTIONS
        assert each < BYTES_EACH, f"{each:.0f} bytes for a connection"
        for raw in raws:
            assert raw.exchange(1, GET).status == 200
        used = (attacked.rss() - before) / CONNECTIONS
        assert used < BYTES_EACH, f"{used:.0f} bytes for a connection that was used"
    attacked.wait(lambda: attacked.fds() <= descriptors, "the descriptors of the connections are back")


class Silent(asyncio.Protocol):
    """A client that greets, and then answers pings or does not."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers
        self.pings = 0
        self.lost = False
        self._unread = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(http2.PREFACE + settings())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while len(self._unread) >= http2.FRAME_HEAD:
            end = http2.FRAME_HEAD + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < end:
                return
            kind, flags, payload = self._unread[3], self._unread[4], self._unread[http2.FRAME_HEAD : end]
            self._unread = self._unread[end:]
            if kind == Kind.PING and not flags & ACK:
                self.pings += 1
                if self.answers:
                    self.transport.write(ping(payload, ACK))


async def test_connections_that_answer_no_ping_are_dropped() -> None:
    """Every other one is dead: it is asked, and closed when it does not answer. The others live."""
    room_for_files()
    loop = asyncio.get_running_loop()
    async with bare_front(keepalive_seconds=1.0, keepalive_timeout=2.0) as (port, acceptor):
        clients: list[Silent] = []
        for number in range(CONNECTIONS):
            _, client = await loop.create_connection(lambda n=number: Silent(n % 2 == 0), "127.0.0.1", port)
            clients.append(client)
        living, dead = clients[::2], clients[1::2]
        for _ in range(300):
            if all(client.lost for client in dead):
                break
            await asyncio.sleep(0.1)
        assert all(client.pings == 1 and client.lost for client in dead)
        assert not any(client.lost for client in living)
        assert len(acceptor.connections) == len(living)
        for client in living:
            client.transport.write(headers(1, GET))
        await closed({"sessions": 0, "connections": len(living), "streams": 0})
        assert all(client.pings > 0 for client in living)
        for client in living:
            client.transport.close()
        await closed()


async def test_a_connection_that_says_something_is_not_asked() -> None:
    loop = asyncio.get_running_loop()
    async with bare_front(keepalive_seconds=0.5, keepalive_timeout=0.5) as (port, _):
        _, client = await loop.create_connection(lambda: Silent(False), "127.0.0.1", port)
        for stream in range(1, 40, 2):
            client.transport.write(headers(stream, GET))
            await asyncio.sleep(0.05)
        assert client.pings == 0
        assert not client.lost
        client.transport.close()
        await closed()


async def test_a_client_that_stops_within_a_frame_is_dropped() -> None:
    loop = asyncio.get_running_loop()
    async with bare_front(keepalive_seconds=0.5, keepalive_timeout=0.5, head_seconds=60) as (port, _):
        clients: list[Silent] = []
        for begun in (b"", b"\0\0\x40", http2.frame(0x63, 0, 1, b"x", length=16000)):
            _, client = await loop.create_connection(lambda: Silent(False), "127.0.0.1", port)
            client.transport.write(begun)
            clients.append(client)
        for _ in range(100):
            if all(client.lost for client in clients):
                break
            await asyncio.sleep(0.1)
        assert all(client.lost for client in clients)
        assert front_stats() == {"connections": 0, "streams": 0}
