"""Connect's streaming protocol for the methods that stream: enveloped messages, JSON or protobuf (connectrpc.com/docs).

The last envelope says how the call ended; the status of HTTP is always 200. Over HTTP/1.1 a client sends all before it
reads. Must never be used for what is hot.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from batchwire.core import EnvelopeError
from batchwire.core.front.grpc_messages import MessageReader
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody

from . import connect_json, connect_text
from .connect_unary import error_object, seconds_of
from .rpc_call import HttpCall, method_of
from .rpc_servicer import RpcServicer
from .slices import PIECE_BYTES

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PREFIX = b"application/connect+"
_KINDS = (_PREFIX + b"json", _PREFIX + b"proto")
_END = 0x02
_MESSAGES = {
    "Batch": (batch_pb2.BatchRequest, batch_pb2.BatchResponse),
    "BatchJson": (HttpBody, HttpBody),
    "BatchHttp": (HttpBody, HttpBody),
}


def is_connect_stream(scope: Any, content_type: bytes) -> bool:
    """Whether a request is a streaming call of Connect."""
    return _kind(content_type) in _KINDS and method_of(scope["path"]) in _MESSAGES


class ConnectStream:
    """max_message: bytes of the longest message taken."""

    def __init__(self, servicer: RpcServicer, max_message: int) -> None:
        self._servicer = servicer
        self._max_message = max_message

    async def answer(self, scope: Any, receive: Callable[[], Any], send: Send) -> None:
        """Answers one call."""
        fields = dict(scope["headers"])
        kind = _kind(fields[b"content-type"])
        method = method_of(scope["path"])
        assert method is not None
        taken, given = _MESSAGES[method]
        as_json = kind == _KINDS[0]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        end: dict[str, Any] = {}
        try:
            with self._servicer.at_the_door(scope):
                if fields.get(b"connect-content-encoding", b"identity") != b"identity":
                    raise EnvelopeError(501, "UnknownEncoding", "the messages must not be compressed")
                seconds = seconds_of(fields)
            call = HttpCall(
                self._servicer, method, _Envelopes(self._max_message, taken if as_json else None), self._max_message
            )
            metadata = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            async for part in call.run(scope, receive, metadata, seconds):
                pieces = await connect_text.text_of(part, given) if as_json else [part]
                for piece in _enveloped(0, pieces):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except EnvelopeError as error:
            end["error"] = error_object(error)
        for piece in _enveloped(_END, [json.dumps(end).encode()]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


class _Envelopes:
    """Bytes of a request to its messages; kind: of those in JSON, or None."""

    def __init__(self, max_message: int, kind: Any) -> None:
        self._reader = MessageReader(max_message)
        self._kind = kind

    async def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        for compressed, message in self._reader.feed(data):
            if compressed:
                raise EnvelopeError(501, "UnknownEncoding", "the messages must not be compressed")
            if self._kind is None:
                yield message
            else:
                yield await connect_json.parse(message, self._kind)

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


def _enveloped(flags: int, pieces: list[bytes]) -> list[bytes]:
    """The envelope of a message, which is not copied where it is long."""
    head = bytes([flags]) + sum(map(len, pieces)).to_bytes(4, "big")
    return [head + pieces[0], *pieces[1:]] if len(pieces[0]) <= PIECE_BYTES * 2 else [head, *pieces]
