"""Batches that have work in one turn of the loop share it (PL-01), counted by calls that the gateway answers itself."""

import asyncio
import json

from batchwire.core import Session
from core_driving import Request, echo, serving, session_of, turned

IN_A_SLICE = 500
"""Refused calls of 8 us, as they are counted, in 4 ms."""
IN_A_TRIFLE = 13


def refused_calls(count: int) -> bytes:
    return json.dumps({"requests": [{"id": str(n), "method": "get", "url": "//x"} for n in range(count)]}).encode()


def fed(route: object, count: int) -> Session:
    session = session_of(route, dialect="json")  # type: ignore[arg-type]
    session.feed(refused_calls(count))
    session.feed_end()
    return session


def refused(*sessions: Session) -> int:
    return sum(int(session.summary["refused"]) for session in sessions)


async def test_PL_01_batches_that_come_in_one_turn_share_it() -> None:
    async with serving(echo) as (_, _, route):
        sessions = [fed(route, 1_500) for _ in range(20)]
        assert refused(*sessions) <= IN_A_SLICE + 20 * IN_A_TRIFLE
        small = fed(route, 1)
        assert small.finished
        before, turns = refused(*sessions), 0

        def ended() -> bool:
            nonlocal before, turns
            done, turns = refused(*sessions) - before, turns + 1
            before += done
            # One slice, and what the batch that ended it had begun.
            assert done <= 2 * IN_A_SLICE
            return all(session.finished for session in sessions)

        await turned(ended)
        assert turns > 10
        assert refused(*sessions) == 20 * 1_500
        for session in sessions:
            session.cancel()


async def test_PL_01_calls_released_in_one_turn_are_answered_in_several() -> None:
    """What ends in one turn of the loop, of many batches, leads to no more work in it than a slice."""
    calls = [{"id": "a", "method": "get", "url": "missing"}]
    calls += [{"id": str(n), "method": "get", "url": "x", "dependsOn": ["a"]} for n in range(400)]  # type: ignore[dict-item]
    released = asyncio.Event()

    async def held(request: Request) -> bytes:
        await released.wait()
        return echo(request)

    async with serving(held) as (server, _, route):
        sessions = []
        for _ in range(20):
            session = session_of(route, dialect="json")
            session.feed(json.dumps({"requests": calls}).encode())
            session.feed_end()
            sessions.append(session)
        await server.until(lambda: len(server.requests) == 20)
        before = 0
        released.set()

        def ended() -> bool:
            nonlocal before
            told = sum(int(session.summary["dependency_failed"]) for session in sessions)
            done, before = told - before, told
            assert done <= 3 * IN_A_SLICE + 20 * IN_A_TRIFLE
            return all(session.finished for session in sessions)

        await turned(ended)
        assert before == 20 * 400
        for session in sessions:
            session.cancel()


async def test_PL_01_who_has_had_nothing_comes_before_who_has_had_a_slice() -> None:
    async with serving(echo) as (_, _, route):
        large = [fed(route, 10_000) for _ in range(5)]
        middle = fed(route, 100)
        assert not middle.finished
        await turned(lambda: middle.finished)
        assert not any(session.finished for session in large)
        for session in large:
            session.cancel()
