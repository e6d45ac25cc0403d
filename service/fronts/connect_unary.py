"""Connect's unary protocol for Execute: one POST with JSON or protobuf, for curl and browsers (connectrpc.com/docs).

Must never be used for what is hot: JSON goes through protobuf's generated classes, in a thread of its own, since a
message takes seconds there and the loop has others to serve (PL-01).
"""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from batchwire.core import EnvelopeError
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from google.rpc import code_pb2

from .rpc_call import HttpCall, method_of
from .rpc_desk import RpcDesk, status_of

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Made = TypeVar("Made")

_SWITCH_SECONDS = 0.0005
"""How long the thread may keep the loop waiting for the interpreter; Python's own 5 ms add up."""
_SMALL = 16384
"""Bytes that are dealt with at once: going through the other thread would take longer."""
_worker = ThreadPoolExecutor(1, thread_name_prefix="connect-json")

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
    """Whether a request is a unary call of Connect."""
    kind = content_type.lower().partition(b";")[0].strip()
    return kind in (b"application/json", b"application/proto") and method_of(scope["path"]) is not None


class ConnectUnary:
    """max_message: bytes of the longest message taken."""

    def __init__(self, desk: RpcDesk, max_message: int) -> None:
        self._desk = desk
        self._max_message = max_message

    async def answer(self, scope: Any, receive: Callable[[], Any], send: Send) -> None:
        """Answers one call."""
        fields = dict(scope["headers"])
        as_json = fields[b"content-type"].lower().partition(b";")[0].strip() == b"application/json"
        try:
            if method_of(scope["path"]) != "Execute":
                raise EnvelopeError(501, "NotUnary", "Connect's unary protocol has no streams; use gRPC")
            if fields.get(b"content-encoding", b"identity") != b"identity":
                raise EnvelopeError(501, "UnknownEncoding", "the body must not be compressed")
            unpack = _Whole(self._max_message, as_json)
            call = HttpCall(self._desk, "Execute", unpack)
            metadata = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            raw = b""
            async for part in call.run(scope, unpack.gathering(receive), metadata, _seconds(fields)):
                raw = part
            status, body = 200, await _aside(_json, raw) if as_json else raw
        except EnvelopeError as error:
            status, body, as_json = *_failure(error), True
        kind = b"application/json" if as_json else b"application/proto"
        head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


class _Whole:
    """Gathers the one message, which is bounded."""

    def __init__(self, limit: int, as_json: bool) -> None:
        self._limit = limit
        self._as_json = as_json

    def gathering(self, receive: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
        """Receives the whole body at once."""

        async def whole() -> Any:
            parts, size, more = [], 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return message
                more = message.get("more_body", False)
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self._limit:
                    raise EnvelopeError(413, "MessageTooLarge", f"a message may have {self._limit} bytes")
            body = b"".join(parts)
            if self._as_json:
                body = await _aside(_packed, body)
            return {"type": "http.request", "body": body, "more_body": False}

        return whole

    def __call__(self, body: bytes) -> list[bytes]:
        return [body]


async def _aside(make: Callable[[bytes], Made], data: bytes) -> Made:
    """make(data), while the loop goes on."""
    if len(data) <= _SMALL:
        return make(data)
    sys.setswitchinterval(_SWITCH_SECONDS)
    return await asyncio.get_running_loop().run_in_executor(_worker, make, data)


def _packed(body: bytes) -> bytes:
    try:
        message = json_format.Parse(body, batch_pb2.ExecuteRequest(), max_recursion_depth=16)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise EnvelopeError(400, "BadMessage", "the body is no JSON of an ExecuteRequest") from None
    return message.SerializeToString()


def _json(raw: bytes) -> bytes:
    return json_format.MessageToJson(batch_pb2.ExecuteResponse.FromString(raw), indent=None).encode()


def _seconds(fields: dict[bytes, bytes]) -> float | None:
    said = fields.get(b"connect-timeout-ms")
    if said is None:
        return None
    if not said.isdigit() or len(said) > 10:
        raise EnvelopeError(400, "BadTimeout", "connect-timeout-ms is malformed")
    return int(said) / 1000


def _failure(error: EnvelopeError) -> tuple[int, bytes]:
    told = status_of(error)
    details = [
        {
            "type": detail.type_url.rpartition("/")[2],
            "value": base64.b64encode(detail.value).decode().rstrip("="),
        }
        for detail in told.details
    ]
    body = {"code": code_pb2.Code.Name(told.code).lower(), "message": told.message, "details": details}
    return _STATUSES.get(told.code, 500), json.dumps(body).encode()
