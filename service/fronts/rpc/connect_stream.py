"""Connect's streaming protocol for the methods that stream: enveloped messages, JSON or protobuf (connectrpc.com/docs).

The last envelope says how the call ended; the status of HTTP is always 200. Over HTTP/1.1 a client sends all before it
reads. Must never be used for what is hot.
"""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from batchwire.core import EnvelopeError
from batchwire.core.front.grpc_messages import MessageReader
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody

from ..http.head import Head
from ..http.http_request import HttpRequest
from . import connect_text
from .connect_unary import error_object, seconds_of
from .pieces import enveloped
from .rpc_call import HttpCall, method_of
from .rpc_servicer import RpcServicer

_PREFIX = b"application/connect+"
_KINDS = (_PREFIX + b"json", _PREFIX + b"proto")
_END = 0x02
_MESSAGES = {
    "Batch": (batch_pb2.BatchRequest, batch_pb2.BatchResponse),
    "BatchJson": (HttpBody, HttpBody),
    "BatchHttp": (HttpBody, HttpBody),
}


def is_connect_stream(head: Head, content_type: bytes) -> bool:
    """Whether a request is a streaming call of Connect."""
    return _kind(content_type) in _KINDS and method_of(head.plain_path) in _MESSAGES


class ConnectStream:
    """Answers calls of one service."""

    def __init__(self, servicer: RpcServicer) -> None:
        self._servicer = servicer

    async def answer(self, request: HttpRequest) -> None:
        """Answers one call."""
        head = request.head
        fields = dict(head.headers)
        kind = _kind(fields[b"content-type"])
        method = method_of(head.plain_path)
        assert method is not None
        taken, given = _MESSAGES[method]
        as_json = kind == _KINDS[0]
        request.start(200, [(b"content-type", kind)])
        end: dict[str, Any] = {}
        try:
            with self._servicer.at_the_door(head.peer):
                if fields.get(b"connect-content-encoding", b"identity") != b"identity":
                    raise EnvelopeError(501, "UnknownEncoding", "the messages must not be compressed")
                seconds = seconds_of(fields)
            unpack = _Envelopes(self._servicer.max_message)
            call = HttpCall(self._servicer, method, unpack, taken if as_json else None)
            metadata = [(name, value) for name, value in head.headers if name != b"content-type"]
            async with aclosing(call.run(request, metadata, seconds)) as messages:
                async for pieces in messages:
                    kept = 0
                    if as_json:
                        pieces, kept = await connect_text.text_of(pieces, given, request.exchange.owe)
                    await request.pour(enveloped(0, pieces), kept)
        except EnvelopeError as error:
            end["error"] = error_object(error)
        await request.pour(enveloped(_END, [json.dumps(end).encode()]))
        request.end()


class _Envelopes:
    """Bytes of a request to its messages."""

    def __init__(self, max_message: int) -> None:
        self._reader = MessageReader(max_message)

    async def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        messages = deque(self._reader.feed(data))
        while messages:
            if messages[0][0]:
                raise EnvelopeError(501, "UnknownEncoding", "the messages must not be compressed")
            yield messages.popleft()[1]  # who takes it may let go of it

    @property
    def unfinished_bytes(self) -> int:
        """Those of a message that has not ended."""
        return self._reader.unfinished_bytes

    def finish(self) -> None:
        """FR-01: what was cut is no call that may go missing."""
        if self._reader.unfinished:
            raise EnvelopeError(400, "BadMessage", "the request ends within a message")


def _kind(content_type: bytes) -> bytes:
    return content_type.lower().partition(b";")[0].strip()
