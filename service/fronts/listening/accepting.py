"""Connections of a listener are accepted many in a turn of the loop, and no more than a bound.

libuv accepts one a turn: where the turns are long, those who come wait behind each other for as many turns (PL-01). It
goes on doing so, which is cheapest, and what else waits then is accepted here. Must never read from a connection.

With TLS, each is taken from libuv before its handshake, of which nobody would hear that it has failed (OP-26).
"""

import asyncio
import contextlib
import os
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from batchwire.core.peers import peer_name
from batchwire.core.scarce_log import ScarceLog

from .sockets import BACKLOG

TURN = 64
"""Connections that are accepted before others have their turn."""
TURN_TLS = 8
"""The same with TLS: handshakes of those who come together are computed together."""


class Secures(Protocol):
    """`context`: for the handshakes that begin now."""

    context: ssl.SSLContext


class Listener:
    """Has `sock`, which is bound, once begin() has not failed. protocol: makes that of a connection.

    tls: or None for plain text; seconds: for its handshake.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Callable[[], Any],
        tls: Secures | None,
        seconds: float,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._waiting = select.poll()  # a tenth of what it costs that accept() finds nobody
        self._waiting.register(sock, select.POLLIN)
        self._protocol = protocol
        self._server: asyncio.Server | None = None
        self._beginning: set[asyncio.Task[Any]] = set()
        self._more = TURN - 1
        self._tls = tls
        self._bounds: dict[str, float] = {}
        if tls is not None:
            self._more = TURN_TLS - 1
            # OP-11: of a handshake, and of its end.
            self._bounds = {"ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": min(seconds, 30)}
            self._failed = ScarceLog("TLS handshake failed", loop)

    async def begin(self) -> None:
        """Listens. Raises OSError."""
        unix = self._sock.family == socket.AF_UNIX
        create = self._loop.create_unix_server if unix else self._loop.create_server
        self._server = await create(self._accepted, sock=self._sock, backlog=BACKLOG)

    def leave(self) -> None:
        """Accepts no more; what was accepted goes on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Accepts no more; of what was accepted here, handshakes that are not over are cut."""
        self.leave()
        for task in self._beginning:
            task.cancel()
        if self._tls is not None:
            self._failed.tell_rest()

    def _accepted(self) -> Any:
        """The protocol of a connection that libuv has accepted."""
        for _ in range(self._more):
            if not self._waiting.poll(0):
                break
            try:
                connection, _address = self._sock.accept()
            except OSError:  # It has gone, or no descriptor is left: libuv then closes those who wait (OP-22).
                break
            self._take(connection)
        return self._protocol() if self._tls is None else _Handover(self._take)

    def _take(self, connection: socket.socket) -> None:
        peer = "unix"
        if connection.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # it has gone
                peer = peer_name(*connection.getpeername()[:2])
        context = None if self._tls is None else self._tls.context
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(self._protocol, connection, ssl=context, **self._bounds)
        )
        self._beginning.add(task)
        task.add_done_callback(partial(self._begun, connection, peer))

    def _begun(self, connection: socket.socket, peer: str, task: "asyncio.Task[Any]") -> None:
        self._beginning.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            connection.close()
        if isinstance(error, ssl.SSLError):
            self._failed.add(address=peer, reason=(error.reason or str(error)).lower().replace("_", " "))
        elif error is not None and not isinstance(error, OSError):
            self._loop.call_exception_handler({"message": "a connection could not begin", "exception": error})


class _Handover(asyncio.Protocol):
    """Of a connection that libuv has accepted: gives its socket to `take` before anything is read of it."""

    def __init__(self, take: Callable[[socket.socket], None]) -> None:
        self._take = take

    def connection_made(self, transport: Any) -> None:
        """The socket is duplicated, since a transport closes its own."""
        with contextlib.suppress(OSError):  # no descriptor is left
            self._take(socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())))
        transport.abort()
