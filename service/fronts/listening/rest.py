"""The REST front: OData batches over HTTP/1.1, streamed both ways; the connection is core.front's.

Listens, and answers health and metrics; what no batch endpoint claims may go to the app of a route (served_app.py).
Must never be asked for anything by a batch but its head.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from batchwire.core.front.http1 import Http1Connection
from batchwire.core.front.http1_acceptor import Http1Acceptor

from ..batches.negotiation import ErrorForm, refuse, version_within
from ..batches.odata_errors import error_body
from ..batches.rest_servicer import Answer, Head, RestServicer
from ..http.forwarded import TrustedProxies
from ..http.http_servicer import HttpServicer
from ..http.idle import IdleSweep
from ..http.served_app import ServedApp
from .sockets import BACKLOG, bound_address, identity, listening_socket, remove_socket, unusable
from .tls import ListenerTls

if TYPE_CHECKING:
    from ...state import Service

CLOSE_SECONDS = 2.0
"""For connections to close once nothing runs on them."""
_OTHERS = {"POST": "", "PUT": " here; one that is multipart/form-data is sent with PUT"}
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RestFront:
    """An HTTP listener. address: "host:port", port 0 for any; or "unix:/path". tls: or None for plain text."""

    def __init__(self, service: "Service", address: str, tls: ListenerTls | None = None) -> None:
        limits = service.config.limits
        self._service = service
        self._address = address
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._file: tuple[int, int] | None = None  # of a UNIX socket
        self._idle = IdleSweep(service.loop, limits.client_idle_seconds)
        self.application: App = self.before(_Application(service, self._idle))
        if service.config.listen.trusted_proxies:
            self.application = TrustedProxies(self.application, service.config.listen.trusted_proxies)
        self._servicer = self.servicer()
        self._http1 = Http1Acceptor(
            service.loop,
            self._servicer,
            max_head_bytes=limits.max_header_bytes * 2,
            head_seconds=limits.client_idle_seconds,
            idle_seconds=limits.client_idle_seconds,
        )

    def before(self, application: App) -> App:
        """What takes the requests before the application of the REST front."""
        return application

    def servicer(self) -> HttpServicer:
        """What answers requests."""
        return HttpServicer(self._service, self.application)

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
        bounds: dict[str, Any] = {}
        if self._tls is not None:
            # OP-11: of a handshake, and of its end.
            bounds = {"ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": min(seconds, 30)}
        try:
            self._server = await self._service.loop.create_server(
                self.protocol,
                sock=listening,
                ssl=self._tls.context if self._tls is not None else None,
                backlog=BACKLOG,
                **bounds,
            )
        except OSError as error:
            listening.close()
            raise unusable(self._address, error) from None
        self._file = identity(self._address)
        for acceptor in self.acceptors():
            acceptor.begin_sweeps()
        return bound_address(listening)

    async def stop(self, grace: float) -> None:
        """Goes on answering /readyz and refusing batches until those that run have ended, or grace is over."""
        await self._service.drained(grace)
        self._idle.close()
        if self._server is not None:
            self._server.close()
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


class _Application:
    """The ASGI application of what is no batch."""

    def __init__(self, service: "Service", idle: IdleSweep) -> None:
        self._service = service
        self._servicer = RestServicer(service)
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        head = Head.of(scope)
        endpoint, _ = self._servicer.endpoint(head)
        if path in ("/healthz", "/readyz", "/metrics") and scope["method"] in ("GET", "HEAD"):
            await self._operations(path, send)
        elif (endpoint is None or endpoint.name != "odata") and (
            app := self._service.table.served_app(path)
        ) is not None:
            await self._serve(app, scope, receive, send)
        else:
            form = error_body if endpoint is None else endpoint.form
            root = self._service.table.root_over(path)
            status, code, message, *headers = self._unclaimed(scope["method"], path, root)
            if endpoint is not None or root:
                self._service.refused("rest", root, status, code, head.peer)
            await _reject(scope, send, status, code, message, *headers, form=form)

    def _unclaimed(self, method: str, path: str, root: str) -> tuple[Any, ...]:
        """Status, code, message and fields for what is no batch. root: of the route that it is under, or ""."""
        place, _, below = path[len(root) :].partition("/")
        if root and place == "batch":
            taken = self._service.table.settings[root].dialects
            methods = ["POST"] if "google" in taken else []
            if "document" in taken and not below and not path.endswith("/"):
                methods.append("PUT")
            if method == "POST" in methods:
                return (
                    415,
                    "UnsupportedMediaType",
                    f"A batch that is POSTed must be multipart/mixed{_OTHERS[methods[-1]]}.",
                )
            if methods:
                allow = (b"allow", ", ".join(methods).encode())
                return 405, "MethodNotAllowed", f"A batch is sent here with {' or '.join(methods)}.", allow
        return 404, "NotFound", f"There is nothing here; {self._batches_go_to(root)}."

    def _batches_go_to(self, root: str) -> str:
        """root: of the route that the request is under, "" for none."""
        if not root:
            return "batches go to the service root of a route, with $batch behind it"
        return f"batches go to {root}{'$batch' if 'odata' in self._service.table.settings[root].dialects else 'batch'}"

    async def _serve(self, app: ServedApp, scope: Scope, receive: Receive, send: Send) -> None:
        if self._service.ledger.draining:
            await _reject(scope, send, 503, "Draining", "The gateway is stopping.", (b"connection", b"close"))
        elif not await app.answer(scope, receive, send, self._idle):
            await _reject(scope, send, 500, "InternalError", "The application failed.")

    async def _operations(self, path: str, send: Send) -> None:
        status, content_type, body = 200, "text/plain; charset=utf-8", b"ok\n"
        if path == "/readyz" and not self._service.ready:
            status, body = 503, b"not ready\n"
        elif path == "/metrics":
            body, content_type = self._service.figures()
        head = ((b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)))
        await _answer(send, Answer(status, head, body))


async def _reject(
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
