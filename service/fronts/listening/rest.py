"""The REST front: OData batches over HTTP/1.1, streamed both ways; the connection is core.front's.

Must never be asked for anything by a batch but its head.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from batchwire.core.front.http1 import Http1Connection
from batchwire.core.front.http1_acceptor import Http1Acceptor

from ...systemd import PREFIX
from ..http.http_servicer import HttpServicer
from ..http.idle import IdleSweep
from .accepting import Listener
from .sockets import bound_address, identity, listening_socket, remove_socket, unusable
from .tls import ListenerTls

if TYPE_CHECKING:
    from ...state import Service

CLOSE_SECONDS = 2.0
"""For connections to close once nothing runs on them."""


class RestFront:
    """An HTTP listener. address: "host:port", port 0 for any, "unix:/path" or "systemd:NAME". tls: None: plain text."""

    def __init__(self, service: "Service", address: str, tls: ListenerTls | None = None) -> None:
        limits = service.config.limits
        self._service = service
        self._address = address
        self._tls = tls
        self._listener: Listener | None = None
        self._file: tuple[int, int] | None = None  # of a UNIX socket
        self._idle = IdleSweep(service.loop, limits.client_idle_seconds)
        self._servicer = self.servicer()
        self._http1 = Http1Acceptor(
            service.loop,
            self._servicer,
            max_head_bytes=limits.max_header_bytes * 2,
            head_seconds=limits.client_idle_seconds,
            idle_seconds=limits.client_idle_seconds,
            keepalive_seconds=service.config.listen.keepalive_seconds,
        )

    def servicer(self) -> HttpServicer:
        """What answers requests."""
        return HttpServicer(self._service, self._idle)

    def protocol(self) -> Any:
        """A connection, for asyncio."""
        return Http1Connection(self._http1)

    def acceptors(self) -> list[Any]:
        """What holds the connections, for each version of HTTP."""
        return [self._http1]

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        seconds = self._service.config.limits.client_idle_seconds
        shared = self._service.config.listen.workers > 1
        listening = listening_socket(self._address, shared=shared)
        listener = Listener(self._service.loop, listening, self.protocol, self._tls, seconds)
        try:
            await listener.begin()
        except OSError as error:
            listening.close()
            raise unusable(self._address, error) from None
        self._listener = listener
        self._file = identity(self._address)
        for acceptor in self.acceptors():
            acceptor.begin_sweeps()
        return bound_address(listening)

    async def retire(self) -> None:
        """Each connection of HTTP/1.1 closes behind its next answer."""
        self._leave_passed()
        self._http1.retire()

    def _leave_passed(self) -> None:
        """Who comes to a socket of systemd now waits in it for the next gateway (OP-28)."""
        if self._listener is not None and self._address.startswith(PREFIX):
            self._listener.leave()

    def end_idle(self) -> None:
        """No batch runs any more: what else would last ends."""
        self._idle.close()

    async def stop(self, grace: float) -> None:
        """Goes on answering /readyz and refusing batches until those that run have ended, or grace is over."""
        self._leave_passed()
        await self._service.drained(grace)
        self.end_idle()
        if self._listener is not None:
            self._listener.close()
            remove_socket(self._address, self._file)
        acceptors = self.acceptors()
        for acceptor in acceptors:
            acceptor.end_sweeps()
            for connection in list(acceptor.connections):
                connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for acceptor in acceptors:
                    await acceptor.wait_closed()
        for acceptor in acceptors:
            for connection in list(acceptor.connections):
                connection.abort()
