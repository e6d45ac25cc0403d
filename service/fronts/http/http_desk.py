"""What the core asks of the service for an HTTP request, whatever its version and whatever front it came through."""

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from ..batches.rest_desk import Answer, Head, Opened, RestDesk
from .asgi_request import App, AsgiRequest, header_fields

if TYPE_CHECKING:
    from ...state import Service


class HttpDesk:
    """application: answers what is neither a batch nor answered at once."""

    def __init__(self, service: "Service", application: App) -> None:
        self._loop = service.loop
        self._rest = RestDesk(service)
        self._application = application
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()

    def open_rest(self, stream: Any) -> tuple[Opened | None, Answer | None]:
        """A batch, or what is answered at once; neither: the request is for serve()."""
        if stream.too_large or not stream.path.startswith(b"/"):
            return None, None
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
            return None, None
        outcome = self._rest.open(head, endpoint, route)
        return (outcome, None) if isinstance(outcome, Opened) else (None, outcome)

    def serve(self, exchange: Any) -> None:
        """Begins to answer an HTTP request."""
        # What is before it on its connection may have been an app's, with a context of its own (OP-04).
        task = self._loop.create_task(AsgiRequest(exchange).run(self._application), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
