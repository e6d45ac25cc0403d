"""gRPC-Web over HTTP/1.1 and HTTP/2, binary and text (grpc/doc/PROTOCOL-WEB.md).

Must never answer a request of another kind.
"""

import base64
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from batchwire.core import EnvelopeError
from batchwire.core.front.grpc_messages import MessageReader
from batchwire.core.front.grpc_protocol import percent_encoded, timeout_seconds

from ..http.http_request import HttpRequest
from .pieces import as_base64, enveloped, joined
from .rpc_call import HttpCall, method_of
from .rpc_servicer import RpcServicer, status_of
from .slices import turn

_PREFIX = b"application/grpc-web"
_TRAILERS = 0x80
_SLICE_BYTES = 65536
"""Unpacked in one turn of the loop: base64 with padding anywhere is slow to decode."""


def is_grpc_web(content_type: bytes) -> bool:
    """Whether a Content-Type is one of gRPC-Web."""
    return content_type.lower().startswith(_PREFIX)


class GrpcWeb:
    """Answers calls of one service."""

    def __init__(self, servicer: RpcServicer) -> None:
        self._servicer = servicer

    async def answer(self, request: HttpRequest) -> None:
        """Answers one call; errors are in the trailers of an answer with 200."""
        head = request.head
        named = dict(head.headers)
        text = named[b"content-type"].lower().startswith(_PREFIX + b"-text")
        request.start(200, [(b"content-type", _PREFIX + (b"-text+proto" if text else b"+proto"))])

        async def pour(flags: int, pieces: list[Any]) -> None:
            enveloped(flags, pieces)
            if text:
                whole = await joined(pieces)
                await request.pour(as_base64(memoryview(whole)), len(whole))
            else:
                await request.pour(pieces)

        status, message, details = 0, "", b""
        try:
            with self._servicer.at_the_door(head.peer):
                method = method_of(head.plain_path)
                if method is None:
                    raise EnvelopeError(501, "UnknownMethod", "there is no such method")
                seconds = named.get(b"grpc-timeout")
                timeout = timeout_seconds(seconds) if seconds is not None else None
            call = HttpCall(self._servicer, method, _Unpacking(self._servicer.max_message, text))
            async with aclosing(call.run(request, head.headers, timeout)) as messages:
                async for pieces in messages:
                    await pour(0, pieces)
        except EnvelopeError as error:
            told = status_of(error)
            status, message, details = told.code, told.message, told.SerializeToString()
        lines = b"grpc-status:%d\r\n" % status
        if message:
            lines += b"grpc-message:%s\r\n" % percent_encoded(message)
        if details:
            lines += b"grpc-status-details-bin:%s\r\n" % base64.b64encode(details).rstrip(b"=")
        await pour(_TRAILERS, [lines])
        request.end()


class _Unpacking:
    """Bytes of a request to its messages. Base64 comes in pieces of any size, each of which may end in padding."""

    def __init__(self, max_message: int, text: bool) -> None:
        self._reader = MessageReader(max_message)
        self._text = text
        self._rest = b""

    async def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        for at in range(0, len(data), _SLICE_BYTES):
            await turn()
            part = data[at : at + _SLICE_BYTES]
            messages = deque(self._reader.feed(self._decoded(part) if self._text else part))
            while messages:
                if messages[0][0]:
                    raise EnvelopeError(501, "UnknownEncoding", "compressed messages are not taken over gRPC-Web")
                yield messages.popleft()[1]  # who takes it may let go of it

    @property
    def unfinished_bytes(self) -> int:
        """Those of a message that has not ended."""
        return self._reader.unfinished_bytes

    def finish(self) -> None:
        """FR-01: what was cut is no call that may go missing."""
        if self._rest or self._reader.unfinished:
            raise EnvelopeError(400, "BadMessage", "the request ends within a message")

    def _decoded(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        try:
            return b"".join(base64.b64decode(data[at : at + 4], validate=True) for at in range(0, whole, 4))
        except ValueError:
            raise EnvelopeError(400, "BadMessage", "the body is no base64") from None
