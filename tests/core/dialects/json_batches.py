"""Reading of JSON batches in the tests of the JSON dialect."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.errors import EnvelopeError


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def read(data: bytes, cuts: Iterable[int] = (), **limits: Any) -> list[dict[str, Any]]:
    """The calls of a complete document, fed in pieces; raises EnvelopeError as the reader does."""
    reader = JsonReader(**limits)
    calls = []
    for piece in pieces(data, cuts):
        reader.feed_bytes(piece)
        while (call := reader.next()) is not None:
            calls.append(call)
    reader.end()
    assert reader.next() is None
    assert reader.ended
    assert reader.calls == len(calls)
    return [call.describe() for call in calls]


def verdict(data: bytes, cuts: Iterable[int] = (), **limits: Any) -> Any:
    """What read() gives, or the whole error."""
    try:
        return read(data, cuts, **limits)
    except EnvelopeError as error:
        return error.status, error.code, error.message, error.target


def batch(*requests: Any, **members: Any) -> bytes:
    return json.dumps({"requests": list(requests), **members}, ensure_ascii=False).encode()


def one(**members: Any) -> dict[str, Any]:
    """The call read from one request object with these members over a plain GET."""
    (call,) = read(batch({"id": "1", "method": "get", "url": "A(1)", **members}))
    return call


def one_raw(text: str) -> dict[str, Any]:
    (call,) = read(b'{"requests":[' + text.encode() + b"]}")
    return call
