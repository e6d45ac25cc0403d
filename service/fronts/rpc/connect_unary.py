"""Connect's unary protocol for Execute: one POST with JSON or protobuf, for curl and browsers (connectrpc.com/docs).

Must never be used for what is hot.
"""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from batchwire.core import EnvelopeError
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from google.rpc import code_pb2

from ..http.head import Head
from ..http.http_request import HttpRequest
from . import connect_text
from .rpc_call import HttpCall, method_of
from .rpc_servicer import SERVICE, RpcServicer, status_of

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


def is_connect(head: Head, content_type: bytes) -> bool:
    """Whether a request is a unary call of Connect, be it of a method that there is or not."""
    kind = content_type.lower().partition(b";")[0].strip()
    return kind in (b"application/json", b"application/proto") and head.plain_path.startswith(f"/{SERVICE}/")


class ConnectUnary:
    """Answers calls of one service."""

    def __init__(self, servicer: RpcServicer) -> None:
        self._servicer = servicer

    async def answer(self, request: HttpRequest) -> None:
        """Answers one call."""
        head = request.head
        fields = dict(head.headers)
        as_json = fields[b"content-type"].lower().partition(b";")[0].strip() == b"application/json"
        pieces: list[Any] = []
        kept = 0
        try:
            with self._servicer.at_the_door(head.peer):
                method = method_of(head.plain_path)
                if method is None:
                    raise EnvelopeError(501, "UnknownMethod", f"{SERVICE} has no such method")
                if method != "Execute":
                    raise EnvelopeError(501, "NotUnary", "the method streams: application/connect+json or +proto")
                if fields.get(b"content-encoding", b"identity") != b"identity":
                    raise EnvelopeError(501, "UnknownEncoding", "the body must not be compressed")
                seconds = seconds_of(fields)
            kind = batch_pb2.ExecuteRequest if as_json else None
            call = HttpCall(self._servicer, "Execute", _Whole(self._servicer.max_message), kind)
            metadata = [(name, value) for name, value in head.headers if name != b"content-type"]
            async with aclosing(call.run(request, metadata, seconds)) as messages:
                async for message in messages:
                    pieces = message
            status = 200
            if as_json:
                pieces, kept = await connect_text.text_of(pieces, batch_pb2.ExecuteResponse, request.exchange.owe)
        except EnvelopeError as error:
            status, pieces, kept, as_json = *_failure(error), 0, True
        content_type = b"application/json" if as_json else b"application/proto"
        size = sum(map(len, pieces))
        request.start(status, [(b"content-type", content_type), (b"content-length", b"%d" % size)])
        await request.pour(pieces, kept)
        request.end()


class _Whole:
    """Gathers the one message, which is bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._body = io.BytesIO()  # which makes bytes of its parts without one long copy
        self.unfinished_bytes = 0

    async def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        if data:
            self.unfinished_bytes += self._body.write(data)
            if self.unfinished_bytes > self._limit:
                message = f"the message is larger than limits.grpc_max_message_bytes ({self._limit} bytes)"
                raise EnvelopeError(413, "MessageTooLarge", message)
            return
        body, self._body = [self._body.getvalue()], io.BytesIO()
        self.unfinished_bytes = 0
        yield body.pop()  # who takes it may let go of it

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
