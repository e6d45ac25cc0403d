"""PL-01: what is made to read the headers of a call is not held until the next call comes."""

import json
import tracemalloc
from typing import Any

import pytest
from batchwire.core import Route
from batchwire.v1 import batch_pb2 as pb
from core_driving import call, serving, session_of

NAMES = [f"a{n}" for n in range(3000)]
pytestmark = pytest.mark.usefixtures("nothing_left")


def unfinished(kind: str) -> tuple[dict[str, Any], bytes]:
    """What a session is made with, and a batch of one call and no end."""
    if kind == "json":
        entry = {"id": "0", "method": "get", "url": "x", "dependsOn": [], "headers": dict.fromkeys(NAMES, "")}
        return {"dialect": "json"}, b'{"requests":[' + json.dumps(entry).encode() + b","
    if kind == "proto":
        made = call("0")
        made.headers.extend(pb.Header(name=name) for name in NAMES)
        return {}, pb.BatchRequest(calls=[made]).SerializeToString()
    head = b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nGET x HTTP/1.1\r\n"
    lines = b"".join(b"%b: \r\n" % name.encode() for name in NAMES)
    options = {"dialect": "multipart", "boundary": b"b", "answer_boundary": b"b"}
    return options, head + lines + b"\r\n\r\n--b\r\n"


@pytest.mark.parametrize("kind", ["json", "multipart", "proto"])
async def test_PL_01_headers_are_held_as_they_are_sent(kind: str) -> None:
    async def held(route: Route, count: int) -> int:
        """Bytes of so many batches."""
        options, text = unfinished(kind)
        before = tracemalloc.get_traced_memory()[0]
        sessions = [session_of(route, **options) for _ in range(count)]
        for session in sessions:
            session.feed(text)
        after = tracemalloc.get_traced_memory()[0]
        for session in sessions:
            session.cancel()
        return after - before

    async with serving() as (_, _, route):
        await held(route, 1)
        tracemalloc.start()
        try:
            assert await held(route, 4) <= 4 * 4 * len(unfinished(kind)[1])
        finally:
            tracemalloc.stop()
