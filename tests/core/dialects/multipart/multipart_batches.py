"""Building and reading of multipart batches in the tests of the multipart dialects."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.errors import EnvelopeError

HTTP = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
GET = b"GET A(1) HTTP/1.1\r\n\r\n"
POST = b"POST A HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}"


def part(message: bytes = GET, head: bytes = HTTP, boundary: bytes = b"b") -> bytes:
    """A part with its delimiter and the line end of the next one."""
    return b"--" + boundary + b"\r\n" + head + b"\r\n" + message + b"\r\n"


def change_set(*parts: bytes, boundary: bytes = b"c", outer: bytes = b"b") -> bytes:
    """A change set from parts that have its boundary."""
    head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n"
    return part(b"".join(parts) + b"--" + boundary + b"--\r\n", head, outer)


def batch(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


def with_id(name: bytes) -> bytes:
    return HTTP + b"Content-ID: " + name + b"\r\n"


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def read(data: bytes, cuts: Iterable[int] = (), boundary: bytes | None = b"b", **settings: Any) -> list[dict[str, Any]]:
    """The calls of a complete document, fed in pieces; the random names of groups become numbers."""
    reader = MultipartReader(boundary, **settings)
    calls = []
    for piece in pieces(data, cuts):
        reader.feed_bytes(piece)
        while (call := reader.next()) is not None:
            calls.append(call.describe())
    reader.end()
    while (call := reader.next()) is not None:
        calls.append(call.describe())
    assert reader.ended
    assert reader.calls == len(calls)
    numbers: dict[bytes, int] = {}
    for call in calls:
        if call["group"] is not None:
            call["group"] = numbers.setdefault(call["group"], len(numbers))
    return calls


def verdict(data: bytes, cuts: Iterable[int] = (), **settings: Any) -> Any:
    """What read() gives, or the whole error."""
    try:
        return read(data, cuts, **settings)
    except EnvelopeError as error:
        return error.status, error.code, error.message, error.target


def one(message: bytes = GET, head: bytes = HTTP, **settings: Any) -> dict[str, Any]:
    """The call of the only part, which must be the same when it comes byte by byte."""
    data = batch(part(message, head))
    (call,) = read(data, **settings)
    assert read(data, range(len(data)), **settings) == [call]
    return call


def envelope_error(data: bytes, **settings: Any) -> str:
    """The code of the error that breaks the batch, which must be the same byte by byte."""
    found = verdict(data, **settings)
    assert isinstance(found, tuple), found
    assert verdict(data, range(len(data)), **settings) == found
    return str(found[1])
