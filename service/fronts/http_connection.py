"""uvicorn's HTTP/1.1 connection with what a batch front needs besides.

A bound on the size and the time of a request head, a bound on the body that follows a finished answer,
notice when the client is gone, and a way to end an answer so that no client takes it for complete
(ER-07). It knows no batch; it must never write a byte of an answer itself but for 408 and 431.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "batchwire.connection"
LINGER_SECONDS = 5.0
"""How long a client may go on sending what nobody reads any more."""


class Connection(HttpToolsProtocol):
    """One connection; `scope["extensions"][EXTENSION]` of its requests.

    max_head_bytes: size of request line and fields. head_seconds: from the connection, or the first
    byte of a further request, to the end of the head. Both are set by `connection_class`.
    """

    max_head_bytes = 65536
    head_seconds = 60.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.on_lost: Callable[[], None] | None = None
        self._running: RequestResponseCycle | None = None
        self._ended = False
        self._head_open = True
        self._head_bytes = 0
        self._linger_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        running = self._running
        if running is not None and not running.response_complete:
            # uvicorn tells only the newest of several pipelined requests.
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._head_open:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_open and self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
            self._refuse_head(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self._start_head_timer()
        extensions: dict[str, Any] = {EXTENSION: self}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.on_lost = None
        if self._running is self.cycle and self.cycle.more_body:
            self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def unsent_bytes(self) -> int:
        """Bytes of the answer that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def end_broken(self) -> None:
        """Ends the answer without its end: what was written is delivered, then the connection closes.

        Reading goes on for a while, into nothing: closing with unread input would make the kernel
        reset the connection, and the client would lose results that it has not read yet.
        """
        self._detach()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.close()

    def abort(self) -> None:
        """Closes the connection at once; what the client has not taken is lost."""
        self._detach()
        self.transport.abort()

    def _detach(self) -> None:
        """The request that runs has no connection any more: what it sends goes nowhere, and no log says so."""
        self._ended = True
        self.on_lost = None
        self._stop_timers()
        self._unset_keepalive_if_required()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self.flow.resume_writing()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._linger_timer = None

    def _start_head_timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes and not self._answering():
            self._refuse_head(b"408 Request Timeout")
        else:
            self.transport.abort()

    def _refuse_head(self, status: bytes) -> None:
        """A head is no request yet, so there is no application to answer it."""
        if self._answering():  # of a pipelined request: the answer before it must not be broken into
            self.transport.abort()
            return
        self._ended = True
        self._stop_timers()
        self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete


def connection_class(max_head_bytes: int, head_seconds: float) -> type[Connection]:
    """A Connection with its bounds, for `uvicorn.Config(http=…)`."""
    return type("BoundedConnection", (Connection,), {"max_head_bytes": max_head_bytes, "head_seconds": head_seconds})
