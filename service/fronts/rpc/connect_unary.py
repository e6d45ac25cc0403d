"""Connect's unary protocol for Execute: one POST with JSON or protobuf, for curl and browsers (connectrpc.com/docs).

Must never be used for what is hot.
"""

import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from batchwire.core import EnvelopeError
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from google.rpc import code_pb2

from ..http.asgi_scope import EXTENSION
from . import connect_json, connect_text
from .rpc_call import HttpCall, keep_unfinished, method_of
from .rpc_servicer import SERVICE, RpcServicer, status_of

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# HTTP statuses of errors, as the protocol has them.
_STATUSES = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.UNAVAILABLE: 503,
}


def is_connect(scope: Any, content_type: bytes) -> bool:
    """Whether a request is a unary call of Connect, be it of a method that there is or not."""
    kind = content_type.lower().partition(b";")[0].strip()
    return kind in (b"application/json", b"application/proto") and scope["path"].startswith(f"/{SERVICE}/")


class ConnectUnary:
    """max_message: bytes of the longest message taken."""

    def __init__(self, servicer: RpcServicer, max_message: int) -> None:
        self._servicer = servicer
        self._max_message = max_message

    async def answer(self, scope: Any, receive: Callable[[], Any], send: Send) -> None:
        """Answers one call."""
        fields = dict(scope["headers"])
        as_json = fields[b"content-type"].lower().partition(b";")[0].strip() == b"application/json"
        try:
            with self._servicer.at_the_door(scope):
                method = method_of(scope["path"])
                if method is None:
                    raise EnvelopeError(501, "UnknownMethod", f"{SERVICE} has no such method")
                if method != "Execute":
                    raise EnvelopeError(501, "NotUnary", "the method streams: application/connect+json or +proto")
                if fields.get(b"content-encoding", b"identity") != b"identity":
                    raise EnvelopeError(501, "UnknownEncoding", "the body must not be compressed")
                seconds = seconds_of(fields)
            unpack = _Whole(self._max_message, as_json)
            call = HttpCall(self._servicer, "Execute", unpack, self._max_message)
            metadata = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            raw = b""
            whole = unpack.gathering(receive, scope["extensions"][EXTENSION])
            async for part in call.run(scope, whole, metadata, seconds):
                raw = part
            status, pieces = 200, [raw]
            if as_json:
                pieces = await connect_text.text_of(raw, batch_pb2.ExecuteResponse)
        except EnvelopeError as error:
            status, pieces, as_json = *_failure(error), True
        kind = b"application/json" if as_json else b"application/proto"
        head = [(b"content-type", kind), (b"content-length", str(sum(map(len, pieces))).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


class _Whole:
    """Gathers the one message, which is bounded."""

    unfinished_bytes = 0  # those are counted while they are gathered

    def __init__(self, limit: int, as_json: bool) -> None:
        self._limit = limit
        self._as_json = as_json

    def gathering(self, receive: Callable[[], Any], exchange: Any) -> Callable[[], Awaitable[Any]]:
        """Receives the whole body at once; exchange: what carries the request, which counts what is unfinished."""

        async def whole() -> Any:
            body, size, more = io.BytesIO(), 0, True  # which makes bytes of its parts without one long copy
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return message
                more = message.get("more_body", False)
                size += body.write(message.get("body", b""))
                if size > self._limit:
                    message = f"the message is larger than limits.grpc_max_message_bytes ({self._limit} bytes)"
                    raise EnvelopeError(413, "MessageTooLarge", message)
                keep_unfinished(exchange, size if more else 0, self._limit)
            return {"type": "http.request", "body": body.getvalue(), "more_body": False}

        return whole

    async def __call__(self, body: bytes, /) -> AsyncIterator[bytes]:
        if self._as_json:
            body = await connect_json.parse(body, batch_pb2.ExecuteRequest)
        yield body

    def finish(self) -> None:
        """The message is whole: it is the body."""


def seconds_of(fields: dict[bytes, bytes]) -> float | None:
    """The time-out that a call says. Raises EnvelopeError."""
    said = fields.get(b"connect-timeout-ms")
    if said is None:
        return None
    if not said.isdigit() or len(said) > 10:
        raise EnvelopeError(400, "BadTimeout", "connect-timeout-ms is malformed")
    return int(said) / 1000


def error_object(error: EnvelopeError) -> dict[str, Any]:
    """Connect's JSON of an error."""
    told = status_of(error)
    details = [
        {
            "type": detail.type_url.rpartition("/")[2],
            "value": base64.b64encode(detail.value).decode().rstrip("="),
            "debug": _readable(detail),
        }
        for detail in told.details
    ]
    return {"code": code_pb2.Code.Name(told.code).lower(), "message": told.message, "details": details}


def _readable(detail: Any) -> Any:
    """A detail as JSON, as the protocol lets it stand beside its bytes: code and place for people."""
    told = json_format.MessageToDict(detail)
    told.pop("@type")
    return told


def _failure(error: EnvelopeError) -> tuple[int, list[bytes]]:
    return _STATUSES.get(status_of(error).code, 500), [json.dumps(error_object(error)).encode()]
