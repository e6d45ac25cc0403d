"""uvicorn's HTTP/1.1 connection with what a batch front needs besides.

A bound on the size and the time of a request head, a bound on the body that follows a finished answer,
notice when the client is gone, and a way to end an answer so that no client takes it for complete
(ER-07). An offer to change the protocol is passed over (RFC 9110 7.8), and who speaks HTTP/1.0 gets no chunks.
What comes behind a request, late or no HTTP, is told only after the answers that are due before it.
It knows no batch; it must never write a byte of an answer itself but for 100, 400, 408, 431 and 505.
"""

import asyncio
import contextvars
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httptools
from batchwire.core.peers import peer_name
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "batchwire.connection"
PROBE_SECONDS = 1.0
"""Between looks at a client that has closed its side: does it still read?"""
_PIECE_BYTES = 16384
"""Fed to the parser at once, between two looks at how many requests wait."""
_MOST_WAITING = 16
"""Pipelined requests that wait for the answer before them; the rest of what was read is not parsed meanwhile."""
LINGER_SECONDS = 5.0
"""How long a client may go on sending what nobody reads any more."""
_UPGRADE_FIELDS = (b"upgrade", b"http2-settings", b"connection")
_VERSIONS = ("1.0", "1.1")
_TCP_CLOSE = 7
"""A state of <netinet/tcp.h>."""
_TOO_LARGE = b"431 Request Header Fields Too Large"
_NO_HTTP = b"Invalid HTTP request received."
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Connection(HttpToolsProtocol):
    """One connection; `scope["extensions"][EXTENSION]` of its requests.

    max_head_bytes: size of request line and fields. head_seconds: from the connection, or the first
    byte of a further request, to the end of the head. context: what a request's task begins with. All are set by
    `connection_class`.
    """

    max_head_bytes = 65536
    head_seconds = 60.0
    context: contextvars.Context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._resume_reading, self.flow.resume_reading = self.flow.resume_reading, self._resume  # type: ignore[method-assign]
        self.on_lost: Callable[[], None] | None = None
        self._running: RequestResponseCycle | None = None
        self._ended = False
        self._refusal: bytes | None = None  # what is said once all requests before it are answered
        self._head_open = True
        self._head_begun = False
        self._head_bytes = 0  # received while it is open; exact but for what comes behind another request
        self._field_bytes = 0  # of it, what has been parsed
        self._unframed_bytes = 0  # received since the last of a body: chunk sizes, extensions, trailers
        self._backlog = b""  # read and not parsed
        self._shared_chunk = False
        self._upgrading = False
        self._linger_timer: asyncio.TimerHandle | None = None
        self._prober: asyncio.TimerHandle | None = None
        self._probed = False
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

    def eof_received(self) -> bool:  # type: ignore[override]
        """FR-06: a client that has asked and closed its side is answered; what it has not said whole ends.

        Whether it still reads is told by what is written to it, or by the state of its socket after that.
        """
        running, newest = self._running, self.cycle
        if running is None or running.response_complete or running.more_body or self._ended:
            return False
        if self.scope["scheme"] == "https" or newest is None:
            return False  # TLS has no half-closed connections here
        if newest.more_body:
            newest.disconnected = True
            newest.message_event.set()
        newest.keep_alive = False
        self._prober = self.loop.call_later(PROBE_SECONDS, self._probe)
        return True

    def _probe(self) -> None:
        self._prober = None
        if self.transport.is_closing() or self._running is None:
            return
        if _is_gone(self.transport.get_extra_info("socket")):
            self.transport.abort()
            return
        if not self._probed and not self._running.response_started and self._running.scope["http_version"] == "1.1":
            self._probed = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._prober = self.loop.call_later(PROBE_SECONDS, self._probe)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf():
            return
        self._unset_keepalive_if_required()
        if self._backlog:
            data, self._backlog = self._backlog + data, b""
        for at in range(0, len(data), _PIECE_BYTES):
            if len(self.pipeline) >= _MOST_WAITING:
                self._backlog = data[at:]
                self.flow.pause_reading()
                return
            self._take(data[at : at + _PIECE_BYTES])

    def _take(self, data: bytes) -> None:
        self._shared_chunk = False
        self._unframed_bytes += len(data)
        rest: bytes | None = data
        while rest is not None and not self._is_deaf():
            rest = self._parse(rest)
        if self._is_deaf() or self.transport.is_closing():
            return
        # A chunk that began with another request is bounded by what is parsed at once.
        if self._head_open and not self._shared_chunk:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._refuse_head(_TOO_LARGE)
        elif not self._head_open and self._unframed_bytes > self.max_head_bytes:
            self._refuse_bytes()

    def _resume(self) -> None:
        """While requests wait nothing more is read: each answer that ends would let in another read of them."""
        if not self.pipeline and not self._backlog:
            self._resume_reading()

    def _go_on(self) -> None:
        if self._backlog and not self.transport.is_closing():
            self.data_received(b"")
            self.flow.resume_reading()

    def _parse(self, data: bytes) -> bytes | None:
        """Feeds the parser; what is to be fed next, where the parser stopped at an offer to change the protocol."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if self._upgrading:
                return self._without_upgrade() + data[stop.args[0] :]
        except httptools.HttpParserError:
            if not self._is_deaf():
                self._refuse_bytes()
        return None

    def _without_upgrade(self) -> bytes:
        """The head once more, without the offer, for a new parser: this one takes what follows for no HTTP."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name not in _UPGRADE_FIELDS:
                lines.append(b"%s: %s" % (name, value))
            elif name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in _UPGRADE_FIELDS]
                lines.append(b"connection: " + b",".join(kept))
        self._upgrading = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._is_deaf():
            return
        self._head_open = True
        self._head_begun = True
        self._field_bytes = 0
        if self._head_timer is None:
            self._head_timer = self._start_head_timer()
        extensions: dict[str, Any] = {EXTENSION: self}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        self._field_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_open:
            return  # a trailer, which is no field of the head, and nothing here asks for it (RFC 9110 6.5.1)
        self._field_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = self._head_begun = False
        self._head_bytes = self._unframed_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._is_deaf():
            return
        if self._field_bytes > self.max_head_bytes:
            self._refuse_head(_TOO_LARGE)
            return
        if self.parser.get_http_version() not in _VERSIONS:
            # The parser lets "HTTP/2.0" pass, and a line without a version for HTTP/0.9.
            self._refuse_head(b"505 HTTP Version Not Supported")
            return
        if self.parser.get_http_version() == "1.1" and sum(name == b"host" for name, _ in self.headers) != 1:
            self._refuse_head(b"400 Bad Request")  # RFC 9112 3.2
            return
        self._upgrading = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._upgrading:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unframed_bytes = 0
        if not self._is_deaf():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_deaf() or self._upgrading:
            return
        self._shared_chunk = True
        self._unframed_bytes = 0
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.on_lost = None
        if self._ended:  # nothing follows this answer
            return
        if self._running is self.cycle and self.cycle.more_body:
            self._start_linger_timer()
        super().on_response_complete()
        self.flow.resume_reading()
        if self._backlog:
            self.loop.call_soon(self._go_on)
        if self._answering() or self.transport.is_closing():
            return
        if self._refusal is not None:
            self._end_with(self._refusal)
        elif self._head_begun:
            # Nobody may have read it while there were requests before it.
            self._unset_keepalive_if_required()
            if self._head_timer is not None:
                self._head_timer.cancel()
            self._head_timer = self._start_head_timer()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        cycle.transport = _AnswerTransport(self)  # type: ignore[assignment]
        # The request before it may have been an app's, with a context of its own (OP-04).
        start = super()._start_asgi_task
        self.context.run(start, cycle, _close_delimited(cycle, app) if cycle.scope["http_version"] == "1.0" else app)

    def unsent_bytes(self) -> int:
        """Bytes of the answer that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def end_broken(self) -> None:
        """Ends the answer without its end: what was written is delivered, then the connection closes.

        Reading goes on for a while, into nothing: closing with unread input would make the kernel
        reset the connection, and the client would lose results that it has not read yet.
        """
        self._detach()
        self._linger()

    def end_whole(self) -> None:
        """Closes the connection behind an answer that is complete; its request may not be, see end_broken()."""
        if self._running is None or not self._running.more_body:
            self.transport.close()
            return
        self._ended = True
        self._stop_timers()
        self._linger()

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._backlog = b""
        self._resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._start_linger_timer()
        else:
            self.transport.close()

    def _start_linger_timer(self, stuck: float = 0.0) -> None:
        unsent = self.unsent_bytes()
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self._linger_ends, unsent, stuck)

    def _linger_ends(self, unsent: int, stuck: float) -> None:
        """Cuts the connection, unless the client still takes what it was sent; stuck: seconds that it has not."""
        stuck = stuck + LINGER_SECONDS if self.unsent_bytes() == unsent else 0.0
        if unsent == 0 or stuck >= self.head_seconds:
            self.transport.abort()
        else:
            self._start_linger_timer(stuck)

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
        for timer in (self._head_timer, self._linger_timer, self._prober):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._linger_timer = self._prober = None

    def _start_head_timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._answering():
            return  # its time begins anew behind the answer
        if self._head_begun:
            self._refuse_head(b"408 Request Timeout")
        else:
            self.transport.abort()

    def _refuse_bytes(self) -> None:
        """What came is no HTTP: a further head, or the body of the newest request."""
        newest = self.cycle
        if newest is not None and newest.more_body and not newest.response_complete:
            if newest is not self._running:
                self.pipeline.popleft()  # it waits for an answer before it, and will never be whole
            elif newest.response_started:
                self.end_broken()
                return
            else:
                self._end_with(_answer(b"400 Bad Request", _NO_HTTP))
                return
        self._refuse_head(b"400 Bad Request", _NO_HTTP)

    def _refuse_head(self, status: bytes, why: bytes = b"") -> None:
        """A head is no request yet, so there is no application to answer it.

        The answers to the requests before it must not be broken into: nothing more is read, and it is said behind them.
        """
        if self._answering():
            self._refusal = _answer(status, why)
        else:
            self._end_with(_answer(status, why))

    def _end_with(self, words: bytes) -> None:
        """The last words on this connection; reading goes on into nothing, so that the client can read them."""
        self._detach()
        self.transport.write(words)
        self._linger()

    def _is_deaf(self) -> bool:
        """Whether nothing that comes is taken for a request any more."""
        return self._ended or self._refusal is not None

    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete


def _answer(status: bytes, text: bytes) -> bytes:
    kind = b"content-type: text/plain; charset=utf-8\r\n" if text else b""
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, kind, len(text), text)


def _is_gone(sock: Any) -> bool:
    """Whether the other end has reset what it closed; Linux says so, elsewhere only writing tells."""
    if sock is None or sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return True
    return bool(state == _TCP_CLOSE)


class _AnswerTransport:
    """What uvicorn writes an answer to and closes behind it."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, connection: Connection) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.end_whole


def peer_of(scope: Any) -> str:
    """host:port or [v6]:port of the client of a request, port 0 where a proxy has told it; "unix" behind a socket."""
    client = scope.get("client")
    return peer_name(client[0], client[1]) if client else "unix"


def _close_delimited(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """The app for HTTP/1.0, which knows no chunks: an answer of unknown length ends with its connection.

    A client can tell one that broke off by its content only: JSON or multipart without its end.
    """

    async def run(scope: Any, receive: Receive, send: Send) -> None:
        unframed = False

        async def framed(message: MutableMapping[str, Any]) -> None:
            nonlocal unframed
            if message["type"] == "http.response.start":
                unframed = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if unframed:
                    cycle.chunked_encoding = False
            elif unframed:
                # uvicorn compares what it is given with what it expects.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, framed)  # type: ignore[arg-type]

    return run


def connection_class(max_head_bytes: int, head_seconds: float) -> type[Connection]:
    """A Connection with its bounds, for `uvicorn.Config(http=…)`."""
    bounds = {"max_head_bytes": max_head_bytes, "head_seconds": head_seconds}
    return type("BoundedConnection", (Connection,), {**bounds, "context": contextvars.copy_context()})
