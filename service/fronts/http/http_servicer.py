"""What the core asks of the service for an HTTP request, whatever its version and whatever front it came through."""

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from batchwire.core import Session
from batchwire.core.front.rest_opener import Negotiated
from batchwire.core.ledger import Batch

from ..batches.decoding import BodyDecoder
from ..batches.negotiation import Accepted
from ..batches.rest_servicer import Answer, Head, RestServicer, batch_error, trailing_error
from .asgi_request import App, AsgiRequest, header_fields

if TYPE_CHECKING:
    from ...state import Service


class HttpServicer:
    """application: answers what is neither a batch nor answered at once."""

    def __init__(self, service: "Service", application: App) -> None:
        self._loop = service.loop
        self._rest = RestServicer(service)
        self.rest_opener = self._rest.opener
        self._application = application
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()

    def open_rest(self, stream: Any) -> tuple[Batch | None, Negotiated | None, Answer | None]:
        """A batch, or what is answered at once; neither: the request is for serve()."""
        if stream.too_large or not stream.path.startswith(b"/"):
            return None, None, None
        raw_path, _, query = stream.path.partition(b"?")
        ends = stream.ends
        head = Head(
            stream.method.decode("latin-1"),
            ends.scheme,
            raw_path.decode("latin-1"),
            query,
            header_fields(stream),
            ends.client[0] if ends.client is not None else None,
            ends.peer,
            ends.authority,
        )
        self._rest.believe(head)
        endpoint, route = self._rest.endpoint(head)
        if endpoint is None or route is None:
            return None, None, None
        outcome = self._rest.open(stream, head, endpoint, route)
        return (None, None, outcome) if isinstance(outcome, Answer) else (*outcome, None)

    def decoder(self, coding: str) -> BodyDecoder:
        """Of a body with a Content-Encoding."""
        return BodyDecoder(coding)

    def batch_error(self, outcome: Accepted, session: Session) -> Answer:
        """What is answered in the place of results; see rest_servicer."""
        return batch_error(outcome, session)

    def trailing_error(self, outcome: Accepted, session: Session) -> bytes:
        """What stands behind results that are cut; see rest_servicer."""
        return trailing_error(outcome, session)

    def serve(self, exchange: Any) -> None:
        """Begins to answer an HTTP request."""
        # What is before it on its connection may have been an app's, with a context of its own (OP-04).
        task = self._loop.create_task(AsgiRequest(exchange).run(self._application), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
