"""The REST front: OData batches over HTTP/1.1, streamed both ways, on uvicorn in the loop of the worker.

Moves bytes between ASGI and the session, and answers health and metrics; what no batch endpoint claims may go to the
app of a route (served_app.py). What a head means is decided in negotiation.py. Must never hold a whole request or
answer, nor let an answer that broke off look complete (ER-07).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from batchwire.core import EnvelopeError, Route, Session
from batchwire.core.peers import peer_name

from ..state import Batch, Ending, TooManyBatchesError, stopped
from .deadlines import early, proxy_seconds
from .decoding import BodyDecoder
from .endpoints import Endpoint, find
from .forwarded import TrustedProxies
from .http_connection import EXTENSION, Connection, connection_class, peer_of
from .idle import Exchange, IdleSweep
from .negotiation import (
    Accepted,
    ErrorForm,
    OuterRequest,
    Policy,
    Probe,
    Refusal,
    refuse,
    version_field,
    version_within,
)
from .odata_errors import error_body
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

    def __init__(self, session: Session, connection: Connection) -> None:
        self.session = session
        self.connection = connection
        self.sent = False
        self.idle = False

    def unsent_bytes(self) -> int:
        return self.connection.unsent_bytes()

    def expire(self) -> None:
        """The client neither sends nor takes: 408 if nothing was sent yet, else the connection is cut."""
        self.idle = True
        self.session.cancel()
        if self.sent:
            self.connection.abort()


class _Application:
    """The ASGI application that uvicorn calls for each request."""

    def __init__(self, service: "Service", idle: IdleSweep) -> None:
        self._service = service
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        media_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        found = find(scope["method"], path, media_type)
        route = self._service.table.by_root(found[1]) if found is not None and found[1] else None
        if found is not None and route is not None and not self._takes(route, found[0]):
            found = route = None
        if found is not None and route is not None:
            await self._batch(scope, receive, send, route, found[0])
        elif path in ("/healthz", "/readyz", "/metrics") and scope["method"] in ("GET", "HEAD"):
            await self._operations(path, send)
        elif (found is None or found[0].name != "odata") and (app := self._service.table.served_app(path)) is not None:
            await self._serve(app, scope, receive, send)
        else:
            form = error_body if found is None else found[0].form
            root = self._service.table.root_over(path)
            if found is not None or root:
                self._refused(scope, root, 404, "NotFound")
            await _turn_away(
                scope, send, 404, "NotFound", f"There is nothing here; {self._batches_go_to(root)}.", form=form
            )

    def _refused(self, scope: Scope, root: str, status: int, code: str) -> None:
        self._service.refused("rest", root, status, code, peer_of(scope))

    def _batches_go_to(self, root: str) -> str:
        """root: of the route that the request is under, "" for none."""
        if not root:
            return "batches go to the service root of a route, with $batch behind it"
        return f"batches go to {root}{'$batch' if 'odata' in self._service.table.settings[root].dialects else 'batch'}"

    def _takes(self, route: Route, endpoint: Endpoint) -> bool:
        return endpoint.name in self._service.table.settings[route.root.decode()].dialects

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
            self._service.metrics.copy_upstreams(self._service.table.upstreams.values())
            body, content_type = self._service.metrics.render()
        await _answer(send, status, ((b"content-type", content_type.encode()),), body)

    async def _batch(self, scope: Scope, receive: Receive, send: Send, route: Route, endpoint: Endpoint) -> None:
        root = route.root.decode()
        settings = self._service.table.settings[root]
        limits = route.limits
        outcome = endpoint.negotiate(
            OuterRequest(scope["method"], scope["scheme"], scope["query_string"], scope["headers"], _server(scope)),
            Policy.of(settings, limits),
        )
        if isinstance(outcome, Probe):
            await _answer(send, 200, outcome.headers, b"")
            return
        if isinstance(outcome, Refusal):
            self._refused(scope, root, outcome.status, outcome.code)
            await _refuse(send, outcome)
            return
        if self._service.draining:
            closing = (b"connection", b"close")
            self._refused(scope, root, 503, "Draining")
            await _turn_away(scope, send, 503, "Draining", "The gateway is stopping.", closing, form=endpoint.form)
            return
        trace = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        arguments = outcome.session_arguments()
        if (seconds := proxy_seconds(scope["headers"])) is not None:
            arguments["deadline"] = early(seconds)
        try:
            batch = self._service.open_batch("rest", route, peer_of(scope), trace, **arguments)
        except TooManyBatchesError as error:
            retry = (b"retry-after", b"1")
            self._refused(scope, root, 429, "TooManyBatches")
            await _turn_away(scope, send, 429, "TooManyBatches", str(error), retry, form=endpoint.form)
            return
        await _Transfer(batch, outcome, scope["extensions"][EXTENSION], self._idle).run(receive, send)


class _Transfer:
    """Moves the bytes of one batch both ways."""

    def __init__(self, batch: Batch, accepted: Accepted, connection: Connection, idle: IdleSweep) -> None:
        self._batch = batch
        self._session = batch.session
        self._accepted = accepted
        self._connection = connection
        self._idle = idle
        self._exchange = _Exchange(batch.session, connection)
        self._lost = False
        self._decoder = BodyDecoder(accepted.decoding) if accepted.decoding else None

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
            self._batch.close(ended)

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
        accepted = self._accepted
        started = False
        while True:
            await session.wait_output()
            finished = session.finished
            if finished and (failure := self._failure()) is not None:
                return await self._fail(send, failure, started)
            if finished and session.cancelled:
                if not self._lost:
                    await self._fail(send, stopped(session), started)
                return "cancelled"
            if not started:
                started = exchange.sent = True
                head = {"type": "http.response.start", "status": accepted.status, "headers": accepted.answer_headers}
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

    def _failure(self) -> EnvelopeError | None:
        if self._exchange.idle:
            return EnvelopeError(408, "ClientIdle", "The client did not send the rest of its batch.")
        return self._session.failure

    async def _fail(self, send: Send, failure: EnvelopeError, started: bool) -> Ending:
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
        body = self._accepted.form(failure.code, failure.message, failure.target)
        head = [(b"content-type", b"application/json"), (b"content-language", b"en"), (b"connection", b"close")]
        if self._accepted.version:
            head.append(version_field(self._accepted.version))
        await _answer(send, failure.status, head, body)
        return "refused"


def _server(scope: Scope) -> str:
    server = scope.get("server")
    return peer_name(server[0], server[1]) if server and server[1] else "localhost"


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
    await _refuse(send, replace(refusal, form=form))


async def _refuse(send: Send, refusal: Refusal) -> None:
    await _answer(send, refusal.status, refusal.headers, refusal.body())


async def _answer(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
