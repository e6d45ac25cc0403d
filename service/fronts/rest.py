"""The REST front: OData batches over HTTP/1.1, streamed both ways, on uvicorn in the loop of the worker.

Moves bytes between ASGI and the session, and answers health and metrics; what no batch endpoint claims may go to the
app of a route (served_app.py). What a head means is decided in negotiation.py. Must never hold a whole request or
answer, nor let an answer that broke off look complete (ER-07).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from batchwire.core import EnvelopeError

from ..state import Ending
from .forwarded import TrustedProxies
from .http_connection import EXTENSION, Connection, connection_class
from .idle import Exchange, IdleSweep
from .negotiation import (
    ErrorForm,
    refuse,
    version_within,
)
from .odata_errors import error_body
from .rest_desk import Answer, Head, Opened, RestDesk
from .served_app import ServedApp
from .sockets import bound_address, listening_socket, unusable

if TYPE_CHECKING:
    from ..state import Service

MAX_WRITE = 1 << 20
"""Bytes of an answer that are written at once; a chunk may stand out."""
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RestFront:
    """An HTTP listener. address: "host:port", port 0 for any; or "unix:/path"."""

    def __init__(self, service: "Service", address: str) -> None:
        limits = service.config.limits
        self._service = service
        self._address = address
        self._socket: socket.socket | None = None
        self._idle = IdleSweep(service.loop, limits.client_idle_seconds)
        self.application: App = self.before(_Application(service, self._idle))
        if service.config.listen.trusted_proxies:
            self.application = TrustedProxies(self.application, service.config.listen.trusted_proxies)
        self._server = _Server(
            uvicorn.Config(
                self.application,
                proxy_headers=False,  # uvicorn would believe the whole machine
                loop="none",
                http=connection_class(limits.max_header_bytes * 2, limits.client_idle_seconds),
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=True,
                timeout_keep_alive=75,
            )
        )
        self._server.client_seconds = limits.client_idle_seconds
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._serving: asyncio.Task[None] | None = None

    def before(self, application: App) -> App:
        """What takes the requests before the application of the REST front."""
        return application

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        shared = self._service.config.listen.workers > 1
        self._socket = listening_socket(
            self._address, shared=shared, user_timeout=self._service.config.limits.client_idle_seconds
        )
        address = bound_address(self._socket)
        self._serving = self._service.loop.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                try:
                    self._serving.result()
                except OSError as error:
                    raise unusable(self._address, error) from None
                raise OSError(f"{self._address} cannot be listened on")
            await asyncio.sleep(0.005)
        return address

    async def stop(self, grace: float) -> None:
        """Goes on answering /readyz and refusing batches until those that run have ended, or grace is over."""
        await self._service.drained(grace)
        self._idle.close()
        self._server.should_exit = True
        self._server.force_exit = self._service.running > 0
        if self._serving is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await asyncio.shield(self._serving)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the worker's lifecycle decides.

    client_seconds: what a client may take for a TLS handshake, or for its end.
    """

    client_seconds = 60.0

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's for sockets that are given, but with a bound on TLS handshakes (OP-11)."""
        config = self.config

        def connected() -> asyncio.Protocol:
            made: Any = config.http_protocol_class
            return cast(asyncio.Protocol, made(config=config, server_state=self.server_state, app_state={}))

        bounds: dict[str, Any] = {}
        if config.ssl is not None:
            bounds = {
                "ssl_handshake_timeout": self.client_seconds,
                "ssl_shutdown_timeout": min(self.client_seconds, 30),
            }
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(connected, sock=sock, ssl=config.ssl, backlog=config.backlog, **bounds)
            for sock in sockets or ()
        ]
        self.started = True


class _Exchange(Exchange):
    """A batch, as the idle sweep sees it."""

    def __init__(self, opened: Opened, connection: Connection) -> None:
        self.opened = opened
        self.connection = connection
        self.sent = False

    def unsent_bytes(self) -> int:
        return self.connection.unsent_bytes()

    def expire(self) -> None:
        """The client neither sends nor takes: 408 if nothing was sent yet, else the connection is cut."""
        self.opened.failure = EnvelopeError(408, "ClientIdle", "The client did not send the rest of its batch.")
        self.opened.batch.session.cancel()
        if self.sent:
            self.connection.abort()


class _Application:
    """The ASGI application that uvicorn calls for each request."""

    def __init__(self, service: "Service", idle: IdleSweep) -> None:
        self._service = service
        self._desk = RestDesk(service, watched=True)
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        head = Head.of(scope)
        endpoint, route = self._desk.endpoint(head)
        if endpoint is not None and route is not None:
            outcome = self._desk.open(head, endpoint, route)
            if isinstance(outcome, Opened):
                await _Transfer(outcome, scope["extensions"][EXTENSION], self._idle).run(receive, send)
            else:
                await _answer(send, outcome)
        elif path in ("/healthz", "/readyz", "/metrics") and scope["method"] in ("GET", "HEAD"):
            await self._operations(path, send)
        elif (endpoint is None or endpoint.name != "odata") and (
            app := self._service.table.served_app(path)
        ) is not None:
            await self._serve(app, scope, receive, send)
        else:
            form = error_body if endpoint is None else endpoint.form
            root = self._service.table.root_over(path)
            if endpoint is not None or root:
                self._service.refused("rest", root, 404, "NotFound", head.peer)
            await _turn_away(
                scope, send, 404, "NotFound", f"There is nothing here; {self._batches_go_to(root)}.", form=form
            )

    def _batches_go_to(self, root: str) -> str:
        """root: of the route that the request is under, "" for none."""
        if not root:
            return "batches go to the service root of a route, with $batch behind it"
        return f"batches go to {root}{'$batch' if 'odata' in self._service.table.settings[root].dialects else 'batch'}"

    async def _serve(self, app: ServedApp, scope: Scope, receive: Receive, send: Send) -> None:
        if self._service.draining:
            await _turn_away(scope, send, 503, "Draining", "The gateway is stopping.", (b"connection", b"close"))
        elif not await app.answer(scope, receive, send, self._idle):
            await _turn_away(scope, send, 500, "InternalError", "The application failed.")

    async def _operations(self, path: str, send: Send) -> None:
        status, content_type, body = 200, "text/plain; charset=utf-8", b"ok\n"
        if path == "/readyz" and not self._service.ready:
            status, body = 503, b"not ready\n"
        elif path == "/metrics":
            self._service.take_figures()
            body, content_type = self._service.metrics.render()
        head = ((b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)))
        await _answer(send, Answer(status, head, body))


class _Transfer:
    """Moves the bytes of one batch both ways."""

    def __init__(self, opened: Opened, connection: Connection, idle: IdleSweep) -> None:
        self._opened = opened
        self._session = opened.batch.session
        self._connection = connection
        self._idle = idle
        self._exchange = _Exchange(opened, connection)
        self._lost = False
        self._decoder = opened.decoder

    async def run(self, receive: Receive, send: Send) -> None:
        """Until the answer is sent, broken off, or nobody waits for it."""
        ended: Ending = "cancelled"
        self._connection.on_lost = self._client_is_gone
        self._idle.add(self._exchange)
        reader = asyncio.ensure_future(self._read(receive))
        try:
            ended = await self._write(send)
        finally:
            reader.cancel()
            self._idle.discard(self._exchange)
            self._opened.close(ended)

    def _client_is_gone(self) -> None:
        self._lost = True
        self._session.cancel()

    async def _read(self, receive: Receive) -> None:
        session, exchange = self._session, self._exchange
        try:
            more = True
            while more:
                exchange.waiting += 1
                message = await receive()
                exchange.waiting -= 1
                exchange.moved = asyncio.get_running_loop().time()
                if message["type"] == "http.disconnect":
                    self._client_is_gone()
                    return
                more = message.get("more_body", False)
                data = message.get("body", b"")
                if self._decoder is None:
                    if data:
                        session.feed(data)
                        await session.wait_input()
                else:
                    for piece in self._decoder.decode(data):
                        session.feed(piece)
                        await session.wait_input()
            if self._decoder is not None:
                self._decoder.finish()
            session.feed_end()
        except EnvelopeError as error:
            session.fail(error)

    async def _write(self, send: Send) -> Ending:
        session, exchange = self._session, self._exchange
        ended: Ending = "cancelled"
        started = False
        while True:
            await session.wait_output()
            finished = session.finished
            if finished and (session.failure is not None or session.cancelled):
                if not self._lost:
                    ended = await self._fail(send, started)
                return "cancelled" if session.failure is None and self._opened.failure is None else ended
            if not started:
                started = exchange.sent = True
                head = {"type": "http.response.start", "status": self._opened.status}
                head["headers"] = self._opened.headers
                await send(head)
            pieces: list[bytes] = []
            size = 0
            chunk: bytes | None = b""
            # Each chunk that is taken lets new results come in its place.
            while size < MAX_WRITE and (chunk := session.take()) is not None:
                pieces.append(chunk)
                size += len(chunk)
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            last = finished and chunk is None
            exchange.waiting += 1
            await send({"type": "http.response.body", "body": body, "more_body": not last})
            exchange.waiting -= 1
            exchange.moved = asyncio.get_running_loop().time()
            if last:
                return "ok"

    async def _fail(self, send: Send, started: bool) -> Ending:
        """GW-21: an answer that has begun is broken off, any other is an error answer."""
        session = self._session
        if started:
            pieces = []
            while (chunk := session.take()) is not None:
                pieces.append(chunk)
            if pieces:
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})
            self._connection.end_broken()
            return "broken"
        await _answer(send, self._opened.error())
        return "refused"


async def _turn_away(
    scope: Scope,
    send: Send,
    status: int,
    code: str,
    message: str,
    *headers: tuple[bytes, bytes],
    form: ErrorForm = error_body,
) -> None:
    refusal = refuse(status, code, message, *headers, version=version_within(scope["headers"]))
    body = form(code, message, "")
    await _answer(send, Answer(status, (*refusal.headers, (b"content-length", b"%d" % len(body))), body))


async def _answer(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
