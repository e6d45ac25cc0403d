"""Large answers are read in turns of the loop, however many and however fast they are (PL-01): bytes are counted, not
seconds."""

from __future__ import annotations

import asyncio

from batchwire.core import Limits, Route
from batchwire.core.dispatch.inflow import stats
from batchwire.core.upstream import read_turns
from core_driving import RawServer, Request, answer, collect, session_of, upstream_of
from harness import grpc_client

MIB = 1 << 20
CONNECTIONS, SIZE = 32, 3 * MIB
TURN, READ = 2 * MIB, 256 << 10
LIMITS = {"max_answer_bytes_in_flight": 256 * MIB, "max_answer_bytes_in_process": 512 * MIB, "max_in_flight": 64}


async def test_PL_01_large_answers_are_read_in_turns() -> None:
    body = bytes(range(256)) * (SIZE // 256)
    grown: list[int] = []

    def answering(_: Request) -> bytes:
        return answer(200, body, [("Content-Type", "image/png")])

    async def watch() -> None:
        before = 0
        while True:
            await asyncio.sleep(0)
            read = stats()["answers_reading"]
            grown.append(read - before)
            before = read

    async with RawServer(answering) as server, upstream_of(server, max_connections=CONNECTIONS) as upstream:
        route = Route(root="/svc/", upstream=upstream, limits=Limits(**LIMITS))
        session = session_of(route)
        calls = [grpc_client.call(str(n), "x") for n in range(CONNECTIONS)]
        before = read_turns.stats()["rests"]
        watcher = asyncio.ensure_future(watch())
        options = grpc_client.options(max_message_bytes=4 * MIB)
        session.feed(grpc_client.message(*calls, options=options).SerializeToString())
        session.feed_end()
        batch = await collect(session)
        watcher.cancel()
    assert {len(result.body) for result in batch.results} == {SIZE}
    assert all(result.body == body for result in batch.results)
    assert len(batch.results) == CONNECTIONS
    assert read_turns.stats()["rests"] - before > CONNECTIONS
    # Each may read once before it is known that all do.
    assert sum(max(more - TURN - READ, 0) for more in grown) <= CONNECTIONS * READ
    assert stats()["answers_reading"] == 0
