"""Calls of BatchService that come as HTTP requests: gRPC-Web and Connect, and the preflights of browsers.

Must never look into a batch.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..http.head import Answer, Fields, Head
from ..http.http_request import HttpRequest
from ..http.http_servicer import Run
from .connect_stream import ConnectStream, is_connect_stream
from .connect_unary import ConnectUnary, is_connect
from .grpc_web import GrpcWeb, is_grpc_web
from .pace import PacedRequest
from .rpc_call import method_of
from .rpc_servicer import RpcServicer

if TYPE_CHECKING:
    from ...state import Service

_EXPOSED = b"grpc-status, grpc-message, grpc-status-details-bin"


class WebCalls:
    """Those of one listener."""

    def __init__(self, service: "Service") -> None:
        servicer = RpcServicer(service)
        self._service = service
        self._origins = frozenset(origin.encode() for origin in service.config.listen.allowed_origins)
        self._grpc_web = GrpcWeb(servicer)
        self._connect = ConnectUnary(servicer)
        self._connect_stream = ConnectStream(servicer)
        self._rate = service.config.limits.min_request_rate
        self._idle_seconds = service.config.limits.client_idle_seconds

    def find(self, head: Head) -> Answer | Run | None:
        """What answers a request; None: it is for no method."""
        fields = dict(head.headers)
        method = method_of(head.plain_path)
        shared = self._shared(fields.get(b"origin"))
        protocol = self._protocol(head, fields.get(b"content-type", b"")) if head.method == "POST" else None
        if protocol is not None:
            # Messages of a stream may come when they like, as long as something comes.
            rate = self._rate if method == "Execute" else 0.0
            return lambda exchange: PacedRequest(head, exchange, shared, rate, self._idle_seconds).run(protocol)
        if method is None:
            return None
        if head.method == "OPTIONS":
            return _preflight(fields.get(b"access-control-request-headers", b""), shared)
        return self._no_call(head, shared)

    def _protocol(self, head: Head, content_type: bytes) -> Callable[[HttpRequest], Awaitable[None]] | None:
        if is_grpc_web(content_type):
            return self._grpc_web.answer
        if is_connect(head, content_type):
            return self._connect.answer
        return self._connect_stream.answer if is_connect_stream(head, content_type) else None

    def _shared(self, origin: bytes | None) -> Fields:
        """What lets a page of an origin see the answer."""
        if origin is None or not {origin, b"*"} & self._origins:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def _no_call(self, head: Head, shared: Fields) -> Answer:
        """Turns away what asks for a method in no protocol of these. An error of gRPC has status 200, so it is none."""
        posted = head.method == "POST"
        status, code = (415, "UnsupportedMediaType") if posted else (405, "MethodNotAllowed")
        self._service.refused("grpc", "", status, code, head.peer)
        allowed = () if posted else ((b"allow", b"POST"),)
        return Answer(status, ((b"content-length", b"0"), *allowed, *shared))


def _preflight(wanted: bytes, shared: Fields) -> Answer:
    """Says what a browser may send; whether it may is said by access-control-allow-origin alone."""
    fields = (
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"7200"),
    )
    return Answer(204, (*fields, *shared))
