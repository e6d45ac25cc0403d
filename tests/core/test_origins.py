"""Who has many batches on one connection takes nothing from those that come over another (PL-01, PL-13, AN-13)."""

import asyncio
import json
from typing import Any

import pytest
from batchwire.core import Limits, Session
from batchwire.core.dispatch import inflow
from batchwire.core.session import crowd
from core_driving import Request, answer, echo, serving, session_of, taken, turned

MIB = 1 << 20
SMALL = 200_000
MANY, ONE = "192.0.2.1:1000", "192.0.2.2:1000"
pytestmark = pytest.mark.usefixtures("nothing_left")


def begun(route: Any, peer: str, entry: dict[str, Any], *, cut: int | None = None) -> Session:
    """A batch of one call; cut: the bytes that have come of it."""
    session = session_of(route, dialect="json", peer=peer)
    session.feed(json.dumps({"requests": [{"id": "1", **entry}]}).encode()[:cut])
    if cut is None:
        session.feed_end()
    return session


async def idle() -> None:
    """Lets everything happen that happens by itself."""
    for _ in range(300):
        await asyncio.sleep(0)


@pytest.mark.parametrize("media", ["text/plain", "image/png"])
async def test_AN_13_small_answers_find_room_beside_many_of_another_origin(media: str) -> None:
    body = b"x" * SMALL
    limits = Limits(max_answer_bytes_in_process=4 * MIB)

    def answering(_: Request) -> bytes:
        return answer(200, body, [("Content-Type", media)])

    async with serving(answering, max_connections=100, limits=limits) as (_, _, route):
        many = [begun(route, MANY, {"method": "get", "url": "x"}) for _ in range(36)]
        await turned(lambda: sum(inflow.stats()[key] for key in ("answers_out", "answers_reading")) > 6 * MIB)
        await idle()
        for _ in range(3):
            one = begun(route, ONE, {"method": "get", "url": "x"})
            assert json.loads(await taken(one))["responses"][0]["status"] == 200
        assert not all(session.finished for session in many)
        for session in many:
            session.cancel()


async def test_PL_13_small_requests_find_room_beside_many_of_another_origin() -> None:
    limits = Limits(max_request_bytes_in_process=4 * MIB)
    entry = {"method": "post", "url": "x", "headers": {"content-type": "text/plain"}, "body": "x" * SMALL}
    async with serving(echo, limits=limits) as (_, _, route):
        many = [begun(route, MANY, entry, cut=SMALL) for _ in range(36)]
        await idle()
        assert crowd.stats()["request_held"] > 6 * MIB
        for _ in range(3):
            one = begun(route, ONE, entry)
            assert json.loads(await taken(one))["responses"][0]["status"] == 200
        for session in many:
            session.cancel()


def refused_calls(count: int) -> bytes:
    return json.dumps({"requests": [{"id": str(n), "method": "get", "url": "//x"} for n in range(count)]}).encode()


@pytest.mark.parametrize("fresh", [False, True])
async def test_PL_01_turns_are_shared_by_origins(fresh: bool) -> None:
    """Counted by calls that the gateway answers itself, of 8 us each. fresh: none has had a whole slice before."""

    def fed(peer: str, count: int) -> Session:
        session = session_of(route, dialect="json", peer=peer)
        session.feed(refused_calls(count))
        session.feed_end()
        return session

    def done() -> int:
        return sum(int(session.summary["refused"]) for session in many)

    async with serving(echo) as (_, _, route):
        many = [fed(MANY, 3_000) for _ in range(60)]
        if not fresh:
            await turned(lambda: done() > 60 * 600)
        one = fed(ONE, 2_000)
        before = done()
        await turned(lambda: one.finished)
        assert done() - before < 20_000  # were each batch to have as much, 120,000
        assert not all(session.finished for session in many)
        for session in [*many, one]:
            session.cancel()


async def test_PL_01_nobody_is_put_off_for_ever_by_newcomers() -> None:
    async with serving(echo) as (_, _, route):
        long = session_of(route, dialect="json", peer=ONE)
        long.feed(refused_calls(5_000))
        long.feed_end()
        newcomers = []
        for n in range(1_500):
            session = session_of(route, dialect="json", peer=f"192.0.2.3:{n}")
            session.feed(refused_calls(800))
            session.feed_end()
            newcomers.append(session)
            await asyncio.sleep(0)
            if long.finished:
                break
        assert long.finished
        for session in newcomers:
            session.cancel()
