"""What the core asks of the service for an HTTP request, whatever its version and whatever front it came through.

Finds what answers it: a batch, what is there at once (health, metrics, errors), or the app of a route.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from batchwire.core import Session
from batchwire.core.front.rest_opener import Negotiated
from batchwire.core.ledger import Batch

from ..batches.decoding import BodyDecoder
from ..batches.negotiation import Accepted, refuse
from ..batches.rest_servicer import RestServicer, answer_of, batch_error, trailing_error
from .asgi_request import AsgiRequest
from .forwarded import Proxies
from .head import Answer, Head
from .http_request import HttpRequest
from .idle import IdleSweep
from .served_app import ServedApp

if TYPE_CHECKING:
    from batchwire.core.front.stream import Stream

    from ...state import Service

_log = logging.getLogger("batchwire.rest")
_TOO_LARGE = answer_of(
    refuse(431, "HeadersTooLarge", "The head of the request is larger than allowed (limits.max_header_bytes).")
)
_NO_PATH = answer_of(refuse(400, "BadRequest", "The target of the request is no path."))
_FAILED = answer_of(refuse(500, "InternalError", "The gateway failed."))
_OTHERS = {"POST": "", "PUT": " here; one that is multipart/form-data is sent with PUT"}
Run = Callable[[Any], Coroutine[Any, Any, None]]
"""Answers a request that a core.front.http_exchange.HttpExchange carries."""
Opened = tuple[Batch, Negotiated, None] | tuple[None, None, Answer | Callable[[Any], None]]


class HttpServicer:
    """idle: looks after the clients of served apps."""

    def __init__(self, service: "Service", idle: IdleSweep) -> None:
        self._service = service
        self._idle = idle
        self._proxies = Proxies(service.config.listen.trusted_proxies)
        self._rest = RestServicer(service)
        self.rest_opener = self._rest.opener
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()

    def open_http(self, stream: "Stream") -> Opened:
        """A batch, or what is answered at once, or what begins to answer an HttpExchange."""
        if stream.too_large or not stream.path.startswith(b"/"):
            return None, None, _TOO_LARGE if stream.too_large else _NO_PATH
        head = Head.of(stream)
        self._proxies.believe(head)
        batch = self.batch(stream, head)
        if isinstance(batch, tuple):
            return *batch, None
        try:
            found = batch or self.elsewhere(head)
        except Exception as error:
            # It costs this answer, whatever carries it.
            _log.error("a request failed", exc_info=error)
            return None, None, _FAILED
        return None, None, found if isinstance(found, Answer) else partial(self._begin, found)

    def batch(self, stream: "Stream", head: Head) -> tuple[Batch, Negotiated] | Answer | None:
        """The batch that a request is, or what is answered in its place; None: it is for no batch endpoint."""
        endpoint, route = self._rest.endpoint(head)
        return None if endpoint is None or route is None else self._rest.open(stream, head, endpoint, route)

    def elsewhere(self, head: Head) -> Answer | Run:
        """What answers a request that is no batch."""
        path = head.path
        if path in ("/healthz", "/readyz", "/metrics") and head.method in ("GET", "HEAD"):
            return self._operations(path)
        endpoint, _ = self._rest.endpoint(head)
        app = self._service.table.served_app(path) if endpoint is None or endpoint.name != "odata" else None
        if app is None:
            root = self._service.table.root_over(path)
            return self._rest.reject(head, endpoint, root, *self._unclaimed(head.method, path, root))
        if self._service.ledger.draining:
            closing = (b"connection", b"close")
            return self._rest.reject(head, None, "", 503, "Draining", "The gateway is stopping.", closing)
        return lambda exchange: HttpRequest(head, exchange).run(partial(self._serve, app))

    def decoder(self, coding: str) -> BodyDecoder:
        """Of a body with a Content-Encoding."""
        return BodyDecoder(coding)

    def batch_error(self, outcome: Accepted, session: Session) -> Answer:
        """What is answered in the place of results; see rest_servicer."""
        return batch_error(outcome, session)

    def trailing_error(self, outcome: Accepted, session: Session) -> bytes:
        """What stands behind results that are cut; see rest_servicer."""
        return trailing_error(outcome, session)

    def _begin(self, run: Run, exchange: Any) -> None:
        # What is before it on its connection may have been an app's, with a context of its own (OP-04).
        task = self._service.loop.create_task(run(exchange), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    def _operations(self, path: str) -> Answer:
        status, content_type, body = 200, "text/plain; charset=utf-8", b"ok\n"
        if path == "/readyz" and not self._service.ready:
            status, body = 503, b"not ready\n"
        elif path == "/metrics":
            body, content_type = self._service.figures()
        head = ((b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)))
        return Answer(status, head, body)

    async def _serve(self, app: ServedApp, request: HttpRequest) -> None:
        if await app.answer(AsgiRequest(request), self._idle):
            return
        failed = self._rest.reject(request.head, None, "", 500, "InternalError", "The application failed.")
        request.start(failed.status, failed.headers)
        request.write(failed.body)
        request.end()
