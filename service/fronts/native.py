"""The native front: gRPC, REST over HTTP/1.1 and REST over HTTP/2 on one port.

HTTP/2 is core.front's; HTTP/1.1 is the connection of the REST front. Opens batches and answers what is not hot. Must
never be asked for anything once a call.
"""

import asyncio
import binascii
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

from batchwire.core import EnvelopeError, Session
from batchwire.core.front.acceptor import KINDS, FrontAcceptor
from batchwire.core.front.http2 import Http2Connection
from batchwire.core.ledger import Batch
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from ..state import stopped
from .entry import Entry
from .grpc_web import is_grpc_web
from .http2_request import Http2Request, http1_fields
from .rest import App, RestFront
from .rest_desk import Answer, Head, Opened, RestDesk
from .rpc_desk import SERVICE, Metadata, RpcDesk, parsed, status_of
from .rpc_methods import Method, StatusError, health_methods, reflection_methods
from .tls import ListenerTls
from .web import WebCalls

if TYPE_CHECKING:
    from ..state import Service

CLOSE_SECONDS = 2.0
"""For connections to close once nothing runs on them."""
_INTERNAL = 13


class NativeFront(RestFront):
    """A listener of all protocols. address: as for RestFront. tls: or None for plain text."""

    def __init__(self, service: "Service", address: str, tls: ListenerTls | None = None) -> None:
        super().__init__(service, address)
        limits = service.config.limits
        self._health = HealthServicer()
        self._acceptor = FrontAcceptor(
            service.loop,
            _Desk(service, self),
            SERVICE,
            max_streams=service.config.listen.max_streams,
            max_header_bytes=limits.max_header_bytes,
            head_seconds=limits.client_idle_seconds,
            idle_seconds=limits.client_idle_seconds,
            ping_seconds=service.config.listen.min_ping_seconds,
            request_rate=limits.min_request_rate,
            connection_seconds=service.config.listen.max_connection_seconds,
        )
        http1: Any = self._server.config.http
        seconds = limits.client_idle_seconds
        acceptor = self._acceptor

        def protocol(**arguments: Any) -> Entry:
            return Entry(lambda: http1(**arguments), lambda: Http2Connection(acceptor), service.loop, seconds)

        self._server.config.load()
        self._server.config.http_protocol_class = protocol  # type: ignore[assignment]
        self._server.config.ssl = tls.context if tls is not None else None

    def before(self, application: App) -> App:
        """gRPC-Web and Connect come as HTTP requests."""
        return WebCalls(self._service, application)

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        address = await super().start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._acceptor.begin_sweeps()
        return address

    async def stop(self, grace: float) -> None:
        """Tells clients to go elsewhere; those batches that run may go on for `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        for connection in list(self._acceptor.connections):
            connection.drain()
        await super().stop(grace)
        self._acceptor.end_sweeps()
        for connection in list(self._acceptor.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._acceptor.wait_closed()
        for connection in list(self._acceptor.connections):
            connection.abort()

    def methods(self) -> dict[str, Method]:
        """gRPC methods that are not hot: path → method."""
        return {**health_methods(self._health), **reflection_methods()}


class _Desk:
    """What the core asks of the service, once a batch."""

    def __init__(self, service: "Service", front: NativeFront) -> None:
        self._service = service
        self._desk = RpcDesk(service, watched=False)
        self._rest = RestDesk(service, watched=False)
        self._front = front
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()
        self.methods = front.methods()
        self.max_message = service.config.limits.grpc_max_message_bytes

    def open(
        self, kind: int, metadata: Metadata, peer: str, first: bytes, seconds: float
    ) -> tuple[Batch, Any, bytes | None, list[tuple[bytes, bytes]] | None]:
        """The batch that a call's first message opens; seconds: to its deadline, negative for none."""
        remaining = seconds if seconds >= 0 else None
        if kind <= KINDS["Batch"]:
            batch = self._desk.open(first, metadata, peer, remaining, kind == KINDS["Execute"])
            return batch, batch.session, None, None
        content_type = parsed(first, HttpBody).content_type
        json_only = kind == KINDS["BatchJson"]
        batch, answer_type, initial = self._desk.open_document(content_type, metadata, peer, remaining, json_only)
        return batch, batch.session, answer_type.encode(), initial

    def status(self, error: BaseException) -> tuple[int, str, bytes | None]:
        """grpc-status, grpc-message, grpc-status-details-bin (base64 without padding) of an error."""
        if isinstance(error, EnvelopeError):
            status = status_of(error)
            return status.code, status.message, _base64(status.SerializeToString())
        if isinstance(error, StatusError):
            return error.code, error.message, None
        return _INTERNAL, "the method failed", None

    def refused(self, error: EnvelopeError, peer: str) -> None:
        """A call of BatchService ends with an error before it had a batch."""
        self._desk.refused(error, peer)

    def stopped(self, session: Session) -> EnvelopeError:
        """Why a batch ends that the gateway stopped."""
        return stopped(session)

    def open_rest(self, stream: Any) -> tuple[Opened | None, Answer | None]:
        """A batch, or what is answered at once; neither: the request is for serve()."""
        if stream.too_large or not stream.path.startswith(b"/") or is_grpc_web(stream.content_type):
            return None, None
        raw_path, _, query = stream.path.partition(b"?")
        ends = stream.ends
        fields = http1_fields(stream.authority, stream.headers)
        head = Head(
            stream.method.decode("latin-1"),
            ends.scheme,
            raw_path.decode("latin-1"),
            query,
            fields,
            ends.client,
            ends.server,
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
        task = self._service.loop.create_task(
            Http2Request(exchange).run(self._front.application), context=self._context.copy()
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=")
