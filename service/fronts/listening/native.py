"""The native front: gRPC, REST over HTTP/1.1 and REST over HTTP/2 on one port.

HTTP/1.1 is as in the REST front. Opens batches and answers what is not hot. Must never be asked for anything once a
call.
"""

import binascii
from typing import TYPE_CHECKING, Any

from batchwire.core import EnvelopeError, Session
from batchwire.core.front.acceptor import FrontAcceptor
from batchwire.core.front.http2 import Http2Connection
from batchwire.core.front.rest_opener import Negotiated
from batchwire.core.ledger import Batch

from ...state import stopped
from ..http.head import Answer, Head
from ..http.http_servicer import HttpServicer, Run
from ..http.idle import IdleSweep
from ..rpc.grpc_web import is_grpc_web
from ..rpc.health import Health
from ..rpc.rpc_methods import Method, health_methods, reflection_methods
from ..rpc.rpc_servicer import SERVICE, Metadata, RpcServicer, status_of
from ..rpc.web import WebCalls
from .entry import Entry
from .rest import RestFront
from .tls import ListenerTls

if TYPE_CHECKING:
    from batchwire.core.front.stream import Stream

    from ...state import Service

_INTERNAL = 13


class NativeFront(RestFront):
    """A listener of all protocols. address: as for RestFront. tls: or None for plain text."""

    def __init__(self, service: "Service", address: str, tls: ListenerTls | None = None) -> None:
        self._health = Health("", SERVICE)
        super().__init__(service, address, tls)
        limits = service.config.limits
        self._acceptor = FrontAcceptor(
            service.loop,
            self._servicer,
            SERVICE,
            max_streams=service.config.listen.max_streams,
            max_header_bytes=limits.max_header_bytes,
            head_seconds=limits.client_idle_seconds,
            idle_seconds=limits.client_idle_seconds,
            ping_seconds=service.config.listen.min_ping_seconds,
            request_rate=limits.min_request_rate,
            request_bound=limits.max_request_bytes_in_process,
            connection_seconds=service.config.listen.max_connection_seconds,
        )

    def servicer(self) -> "_Servicer":
        """What answers requests and calls."""
        return _Servicer(self._service, self._idle, {**health_methods(self._health), **reflection_methods()})

    def protocol(self) -> Entry:
        """A connection of either version."""
        seconds = self._service.config.limits.client_idle_seconds
        return Entry(super().protocol, lambda: Http2Connection(self._acceptor), self._service.loop, seconds)

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        address = await super().start()
        self._health.serve()
        return address

    async def retire(self) -> None:
        """Connections of HTTP/2 that there are take no more than is on its way; new ones do until stop()."""
        await super().retire()
        self._send_away()

    async def stop(self, grace: float) -> None:
        """Tells clients to go elsewhere; those batches that run may go on for `grace` seconds."""
        self._send_away()
        await super().stop(grace)

    def _send_away(self) -> None:
        self._health.end()
        for connection in list(self._acceptor.connections):
            connection.drain()

    def end_idle(self) -> None:
        """Those who watch the health service know by now."""
        super().end_idle()
        self._acceptor.end_methods()

    def acceptors(self) -> list[Any]:
        """The acceptors of HTTP/1.1 and HTTP/2."""
        return [*super().acceptors(), self._acceptor]


class _Servicer(HttpServicer):
    """What the core asks of the service, once a batch. methods: of gRPC that are not hot, by their paths."""

    def __init__(self, service: "Service", idle: IdleSweep, methods: dict[str, Method]) -> None:
        super().__init__(service, idle)
        self._web = WebCalls(service)
        self._calls = RpcServicer(service, watched=False)
        self.opener = self._calls.opener
        self.methods = methods
        self.max_message = self._calls.max_message

    def open_document(
        self, content_type: bytes, metadata: Metadata, peer: str, seconds: float, json_only: bool
    ) -> tuple[Batch, bytes, list[tuple[bytes, bytes]]]:
        """The batch that the first HttpBody of a call opens; seconds: to its deadline, negative for none."""
        try:
            named = content_type.decode()
        except UnicodeDecodeError:
            raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message") from None
        remaining = seconds if seconds >= 0 else None
        batch, answer_type, initial = self._calls.open_document(named, metadata, peer, remaining, json_only)
        return batch, answer_type.encode(), initial

    def status(self, error: BaseException) -> tuple[int, str, bytes | None]:
        """grpc-status, grpc-message, grpc-status-details-bin (base64 without padding) of an error."""
        if isinstance(error, EnvelopeError):
            status = status_of(error)
            return status.code, status.message, _base64(status.SerializeToString())
        return _INTERNAL, "the method failed", None

    def refused(self, error: EnvelopeError, peer: str) -> None:
        """A call of BatchService ends with an error before it had a batch."""
        self._calls.refused(error, peer)

    def stopped(self, session: Session) -> EnvelopeError:
        """Why a batch ends that the gateway stopped."""
        return stopped(session)

    def batch(self, stream: "Stream", head: Head) -> tuple[Batch, Negotiated] | Answer | None:
        """The batch that a request is, or what is answered in its place; None: it is for no batch endpoint."""
        return None if is_grpc_web(stream.content_type) else super().batch(stream, head)

    def elsewhere(self, head: Head) -> Answer | Run:
        """gRPC-Web and Connect come as HTTP requests, too."""
        return self._web.find(head) or super().elsewhere(head)


def _base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=")
