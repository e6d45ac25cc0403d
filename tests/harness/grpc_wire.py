"""gRPC's words on an HTTP/2 connection (grpc/doc/PROTOCOL-HTTP2.md): heads, prefixes, and what an answer says.

Must never use a gRPC library for what it checks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.rpc import status_pb2

from .http2_wire import Fields, Heard, Http2Wire, request

SERVICE = "/batchwire.v1.BatchService"
OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 3, 4, 5
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14


def head(
    method: str = "Execute",
    extra: Iterable[tuple[str, str]] = (),
    *,
    content_type: str | None = "application/grpc",
    te: str | None = "trailers",
    verb: str = "POST",
    path: str | None = None,
) -> Fields:
    """The head of a call; what is None is left out."""
    fields: Fields = []
    if te is not None:
        fields.append(("te", te))
    if content_type is not None:
        fields.append(("content-type", content_type))
    return request(verb, path if path is not None else f"{SERVICE}/{method}", [*fields, *extra])


def prefixed(message: bytes, flag: int = 0) -> bytes:
    """A length-prefixed message."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


def messages_of(data: bytes) -> list[bytes]:
    """The messages in the data of an answer, which must be whole and not compressed."""
    found = []
    while data:
        assert data[0] == 0, "a compressed message"
        size = int.from_bytes(data[1:5], "big")
        assert len(data) >= 5 + size, "a message that is not whole"
        found.append(bytes(data[5 : 5 + size]))
        data = data[5 + size :]
    return found


@dataclass
class GrpcAnswer:
    """A whole answer. details: the google.rpc.Status of grpc-status-details-bin."""

    code: int
    message: str
    raw_message: str
    messages: list[bytes]
    heard: Heard
    details: Any = None


def answer_of(heard: Heard) -> GrpcAnswer:
    """What a stream said, in gRPC's words."""
    assert heard.ended, f"no status but a reset: {heard.reset}"
    assert heard.status == 200, heard
    assert (heard.header("content-type") or "").startswith("application/grpc")
    last = dict(heard.headers if heard.ended_with_head else heard.trailers)
    raw = last.get("grpc-message", "")
    details = None
    if "grpc-status-details-bin" in last:
        packed = last["grpc-status-details-bin"]
        details = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True))
    return GrpcAnswer(
        int(last["grpc-status"]), unquote(raw, errors="strict"), raw, messages_of(bytes(heard.data)), heard, details
    )


def call(wire: Http2Wire, fields: Fields, *messages: bytes) -> GrpcAnswer:
    """One call with whole messages, each in plain."""
    stream = wire.open(fields, end=not messages)
    if messages:
        wire.send(stream, b"".join(prefixed(message) for message in messages), end=True)
    return answer_of(wire.answer(stream))
