"""AN-09: connections whose answers wait for their clients go to batches that have none."""

import asyncio
import gc
import json
import random
from collections import Counter
from typing import Any

import pytest
from batchwire.core import Limits
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import Request, call, collect, serving, session_of, turned

MIB = 1 << 20
LITTLE = Limits(max_answer_bytes_in_flight=MIB, max_answer_bytes_in_process=4 * MIB)
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
pytestmark = pytest.mark.usefixtures("nothing_left")


def answering(made: Request) -> bytes:
    """As many bytes as the last part of the path says, which are different for each path."""
    size = int(made.target.rpartition(b"/")[2])
    body = (made.target * (size // len(made.target) + 1))[:size]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


def begun(route: Any, urls: list[str], method: str = "GET", **options: Any) -> Any:
    session = session_of(route)
    calls = [call(str(n), url, method) for n, url in enumerate(urls)]
    message = pb.BatchRequest(options=pb.BatchOptions(takes_parts=True, **options), calls=calls)
    session.feed(message.SerializeToString())
    session.feed_end()
    return session


async def bodies(session: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for result in (await collect(session)).results:
        assert result.status in (0, 200), result
        assert not result.body_left_out
        found[result.id] = found.get(result.id, b"") + result.body
    return found


def whole(urls: list[str]) -> dict[str, bytes]:
    made = (Request(b"GET", b"/" + url.encode(), [], b"", 0) for url in urls)
    return {str(n): answering(one).partition(b"\r\n\r\n")[2] for n, one in enumerate(made)}


@pytest.mark.parametrize("more", [0, 20])
@pytest.mark.parametrize("ordered", [False, True])
async def test_AN_09_a_batch_that_has_no_connection_gets_one_at_once(ordered: bool, more: int) -> None:
    """more: calls that may be handed over beyond the connections, where they wait."""
    order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
    async with serving(answering, max_connections=6, max_in_flight=6 + more, limits=LITTLE) as (
        server,
        upstream,
        route,
    ):
        urls = [f"large/{n}/3000000" for n in range(4)]
        slow = [begun(route, urls, result_order=order) for _ in range(12)]
        await turned(lambda: stats()["answers_waiting"] >= 3)
        async with asyncio.timeout(10):  # the calls of the others would have 30 s
            for n in range(5):
                assert await bodies(begun(route, [f"small/{n}/9"])) == whole([f"small/{n}/9"])
        assert upstream.stats()["taken_back"] > 0
        assert await asyncio.gather(*map(bodies, slow)) == [whole(urls)] * 12
        assert server.most_open <= 12  # those that were given up may still be closing
    assert stats() == NOTHING


async def test_AN_09_only_a_get_is_asked_again() -> None:
    async with serving(answering, max_connections=6, call_timeout=0.5, limits=LITTLE) as (server, upstream, route):
        slow = [begun(route, [f"large/{n}/3000000" for n in range(4)], "POST") for _ in range(12)]
        await turned(lambda: upstream.stats()["in_flight"] == 6 and stats()["answers_waiting"] >= 2)
        assert await bodies(begun(route, ["small/9"])) == whole(["small/9"])
        assert upstream.stats()["taken_back"] == 0
        for batch in await asyncio.gather(*map(collect, slow)):
            assert {result.status for result in batch.results if result.status} == {200}
        assert Counter(request.method for request in server.requests) == {b"POST": 48, b"GET": 1}


@pytest.mark.parametrize("seed", range(6))
async def test_AN_09_batches_that_take_connections_from_one_another_all_end(seed: int) -> None:
    """Little room for all, few connections, clients that begin to take one after the other, or never."""
    chance = random.Random(seed)
    limits = Limits(max_answer_bytes_in_flight=2 * MIB, max_answer_bytes_in_process=6 * MIB, output_high_bytes=MIB // 4)
    async with serving(answering, max_connections=3, limits=limits) as (server, upstream, route):
        made = []
        for n in range(16):
            urls = [f"{n}/{m}/{chance.choice((9, 70_000, 1_200_000))}" for m in range(chance.randrange(1, 7))]
            order = chance.choice((pb.RESULT_ORDER_REQUEST, pb.RESULT_ORDER_COMPLETION))
            method = chance.choice(("GET", "GET", "POST"))
            made.append((urls, method, begun(route, urls, method, result_order=order)))
        for _ in range(chance.randrange(400)):
            await asyncio.sleep(0)
        gone = chance.sample(range(16), 3)
        for n in gone:
            made[n][2].cancel()

        async def taking(n: int) -> None:
            urls, _, session = made[n]
            await asyncio.sleep(n * 0.03)
            assert await bodies(session) == whole(urls)

        async with asyncio.timeout(60):
            await asyncio.gather(*(taking(n) for n in range(16) if n not in gone))
        posted = Counter(request.target for request in server.requests if request.method == b"POST")
        assert set(posted.values()) <= {1}
        assert upstream.stats()["in_flight"] == 0
        made.clear()  # what nobody takes of them counts
        gc.collect()
    assert stats() == NOTHING


async def test_AN_13_those_behind_a_call_that_was_taken_back_are_not_read_on() -> None:
    """In request order: of GETs and POSTs by turns only the GETs can be asked again."""
    limits = Limits(max_answer_bytes_in_process=32 * MIB)
    async with serving(answering, max_connections=24, limits=limits) as (_, upstream, route):
        made = []
        for n in range(40):
            session = session_of(route, dialect="json", ordered=True)
            calls = [{"id": str(m), "method": ("get", "post")[m % 2], "url": f"{n}/{m}/12000000"} for m in range(6)]
            session.feed(json.dumps({"requests": calls}).encode())
            session.feed_end()
            made.append(session)
        most = calm = 0
        while calm < 3000:
            held = stats()["answers_reading"] + stats()["answers_out"]
            calm = 0 if held > most else calm + 1
            most = max(most, held)
            await asyncio.sleep(0)
            if calm % 50 == 0:  # who waits for a call that is to be asked again has nothing to take
                for session in made:
                    session.take()
        assert upstream.stats()["taken_back"] > 0
        # A read of each connection, and one answer that goes on without room, with what it becomes.
        assert most <= 24 * MIB + 24 * MIB // 4 + 12 * MIB + 16 * MIB
        for session in made:
            session.cancel()
        made.clear()
        del session
        gc.collect()
    assert stats() == NOTHING
