"""The native front in the process and loop of the test, where its counters can be read and its times be chosen.

Must never be used where a process of its own will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from batchwire.core import stats as session_stats
from batchwire.core.dispatch import inflow
from batchwire.core.front.acceptor import FrontAcceptor
from batchwire.core.front.http1 import stats as http1_stats
from batchwire.core.front.http2 import Http2Connection
from batchwire.core.front.http2 import stats as http2_stats
from batchwire.core.session import crowd
from batchwire.service.config import Config
from batchwire.service.fronts.listening.native import NativeFront
from batchwire.service.fronts.rpc.rpc_servicer import SERVICE
from batchwire.service.metrics import Metrics
from batchwire.service.routes import RouteTable
from batchwire.service.state import Service
from harness.native import attackable


def open_now() -> dict[str, int]:
    """What is open in this process: sessions, connections, streams."""
    versions = [http1_stats(), http2_stats()]
    return {"sessions": session_stats()["sessions"]} | {
        name: sum(told[name] for told in versions) for name in ("connections", "streams")
    }


NOTHING = {"sessions": 0, "connections": 0, "streams": 0}
WEB_KINDS = {
    "grpc-web": ("Batch", "application/grpc-web+proto"),
    "grpc-web-text": ("Batch", "application/grpc-web-text"),
    "connect": ("Batch", "application/connect+proto"),
    "connect-json": ("Batch", "application/connect+json"),
    "unary": ("Execute", "application/proto"),
    "unary-json": ("Execute", "application/json"),
}
"""Methods and media types of gRPC-Web and Connect."""


async def closed(expected: dict[str, int] = NOTHING) -> None:
    """Waits until no more is open than expected."""
    for _ in range(1000):
        if open_now() == expected:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{open_now()} are open, expected {expected}")


@asynccontextmanager
async def whole_front(things: str, **limits: Any) -> AsyncIterator[tuple[int, Service]]:
    """A service with the native front before the origin `things`, as a worker runs it; its port. limits: of its own."""
    loop = asyncio.get_running_loop()
    settings = attackable(things)
    # A load generator that gets no processor for a while is not idle.
    settings["limits"] |= {"client_idle_seconds": 60, **limits}
    config = Config.model_validate(settings)
    table = RouteTable(config, loop)
    service = Service(config, table, Metrics(), loop)
    await table.start()
    front = NativeFront(service, "127.0.0.1:0")
    address = await front.start()
    service.ready = True
    try:
        yield int(address.rpartition(":")[2]), service
    finally:
        await front.stop(0)
        await table.stop()


class BareDesk:
    """Answers every HTTP request with 200 and every gRPC method with UNIMPLEMENTED."""

    methods: dict[str, Any] = {}  # noqa: RUF012
    max_message = 1 << 20
    opener = rest_opener = None

    def open_http(self, _stream: Any) -> tuple[None, None, Any]:
        return None, None, self.serve

    def serve(self, exchange: Any) -> None:
        exchange.start(200, [], False)


@asynccontextmanager
async def bare_front(servicer: BareDesk | None = None, **bounds: Any) -> AsyncIterator[tuple[int, FrontAcceptor]]:
    """Connections without a service behind; bounds: of FrontAcceptor."""
    loop = asyncio.get_running_loop()
    acceptor = FrontAcceptor(loop, servicer or BareDesk(), SERVICE, **bounds)
    server = await loop.create_server(lambda: Http2Connection(acceptor), "127.0.0.1", 0, backlog=4096)
    acceptor.begin_sweeps()
    try:
        yield server.sockets[0].getsockname()[1], acceptor
    finally:
        server.close()
        acceptor.end_sweeps()
        for connection in list(acceptor.connections):
            connection.abort()
        await acceptor.wait_closed()


async def come_true(condition: Callable[[], bool]) -> None:
    """Waits, half a minute at most, for what nobody tells of."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"in vain: {crowd.stats()}, {inflow.stats()}")
