"""What the native front answers over HTTP besides REST: gRPC-Web and Connect, and the preflights of browsers.

Must never look into a batch.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from ..http.asgi_scope import peer_of
from .connect_stream import ConnectStream, is_connect_stream
from .connect_unary import ConnectUnary, is_connect
from .grpc_web import GrpcWeb, is_grpc_web
from .pace import paced
from .rpc_call import method_of
from .rpc_servicer import RpcServicer

if TYPE_CHECKING:
    from ...state import Service

App = Callable[[Any, Any, Any], Awaitable[None]]
Message = MutableMapping[str, Any]
_EXPOSED = b"grpc-status, grpc-message, grpc-status-details-bin"


class WebCalls:
    """Stands before the application of the REST front."""

    def __init__(self, service: "Service", rest: App) -> None:
        servicer = RpcServicer(service)
        limit = service.config.limits.grpc_max_message_bytes
        self._service = service
        self._rest = rest
        self._origins = frozenset(origin.encode() for origin in service.config.listen.allowed_origins)
        self._grpc_web = GrpcWeb(servicer, limit)
        self._connect = ConnectUnary(servicer, limit)
        self._connect_stream = ConnectStream(servicer, limit)
        self._rate = service.config.limits.min_request_rate
        self._idle_seconds = service.config.limits.client_idle_seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        fields = dict(scope["headers"])
        content_type = fields.get(b"content-type", b"")
        answer: App | None = None
        if scope["method"] == "POST":
            if is_grpc_web(content_type):
                answer = self._grpc_web.answer
            elif is_connect(scope, content_type):
                answer = self._connect.answer
            elif is_connect_stream(scope, content_type):
                answer = self._connect_stream.answer
        elif scope["method"] == "OPTIONS" and method_of(scope["path"]) is not None:
            answer = _preflight
        if answer is None and method_of(scope["path"]) is not None:
            answer = self._no_call
        if answer is None:
            await self._rest(scope, receive, send)
            return
        # Messages of a stream may come when they like, as long as something comes.
        rate = self._rate if method_of(scope["path"]) == "Execute" else 0.0
        receive = paced(receive, rate, self._idle_seconds)
        origin = fields.get(b"origin")
        if origin is None or not {origin, b"*"} & self._origins:
            await answer(scope, receive, send)
            return

        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"access-control-allow-origin", origin),
                    (b"access-control-expose-headers", _EXPOSED),
                    (b"vary", b"origin"),
                ]
            await send(message)

        await answer(scope, receive, allowed)

    async def _no_call(self, scope: Any, _receive: Any, send: Any) -> None:
        """Turns away what asks for a method in no protocol of these. An error of gRPC has status 200, so it is none."""
        status, code = (415, "UnsupportedMediaType") if scope["method"] == "POST" else (405, "MethodNotAllowed")
        self._service.refused("grpc", "", status, code, peer_of(scope))
        head = [(b"content-length", b"0")]
        if status == 405:
            head.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b""})


async def _preflight(scope: Any, _receive: Any, send: Any) -> None:
    """Says what a browser may send; whether it may is said by access-control-allow-origin alone."""
    wanted = dict(scope["headers"]).get(b"access-control-request-headers", b"")
    head = [
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"7200"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": head})
    await send({"type": "http.response.body", "body": b""})
