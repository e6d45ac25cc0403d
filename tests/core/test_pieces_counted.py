"""Bodies that stand apart from their messages count until they are taken, as all else does (AN-05)."""

from __future__ import annotations

from typing import Any

import pytest
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import Request, answer, serving, session_of, turned
from harness import grpc_client

MIB = 1 << 20
BODY = bytes(range(256)) * (3 * MIB // 256)
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("execute", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("parts", [False, True])
async def test_AN_05_pieces_count_until_they_are_taken(execute: bool, ordered: bool, parts: bool) -> None:
    def answering(made: Request) -> bytes:
        return answer(200, BODY if b"large" in made.target else b"small", [("Content-Type", "image/png")])

    async with serving(answering) as (_, _, route):
        session: Any = session_of(route, execute=execute, ordered=ordered)
        calls = [grpc_client.call(str(n), "large" if n % 2 else "x") for n in range(8)]
        size = MIB if parts else 32 * MIB
        options = grpc_client.options(max_message_bytes=size, takes_parts=parts)
        session.feed(grpc_client.message(*calls, options=options).SerializeToString())
        session.feed_end()
        chunks = []
        left = None
        while left != 0:
            await session.wait_output()
            before = session.sent_bytes
            chunk = session.take() or b""
            chunks.append(chunk)
            assert session.sent_bytes - before == len(chunk)
            if session.finished:
                # Nothing else is on its way then.
                assert left in (None, stats()["answers_out"] + len(chunk))
                left = stats()["answers_out"]
    assert stats() == {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
    messages = [b"".join(chunks)] if execute else chunks
    results = [result for message in messages for result in pb.BatchResponse.FromString(message).results]
    assert max(map(len, messages)) <= size
    bodies: dict[str, bytes] = {}
    for result in results:
        bodies[result.id] = bodies.get(result.id, b"") + result.body
    # Parts are for the many messages of Batch.
    large = b"" if execute and parts else BODY
    assert bodies == {str(n): large if n % 2 else b"small" for n in range(8)}


@pytest.mark.parametrize("execute", [False, True])
async def test_AN_05_what_a_front_keeps_counts_while_it_takes(execute: bool) -> None:
    """Others get no room from it before the front has said what it keeps."""
    async with serving(lambda _: answer(200, BODY, [("Content-Type", "image/png")])) as (_, _, route):
        session: Any = session_of(route, execute=execute)
        calls = [grpc_client.call(str(n), "large") for n in range(3)]
        options = grpc_client.options(max_message_bytes=32 * MIB)
        session.feed(grpc_client.message(*calls, options=options).SerializeToString())
        session.feed_end()
        await turned(lambda: stats()["answers_out"] >= 3 * len(BODY))
        held = stats()["answers_out"]
        while session.take(True) is not None:
            assert stats()["answers_out"] == held
        del session
    assert stats()["answers_out"] == 0
