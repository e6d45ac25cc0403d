"""PL-15: what references put into the calls of all batches together is bounded, none waits for ever, and nothing stays
counted."""

import asyncio
import json
from typing import Any

import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.session.fills import stats
from core_driving import Request, answer, serving, session_of, taken, turned

KIB = 1024
MIB = 1 << 20
NOTHING = {"filled_held": 0, "filled_waiting": 0}
SIZE = 100 * KIB  # of a value
FILLED = 5 * SIZE  # of a call that has it five times
BOUND = 3 * MIB  # of what is filled in; a quarter of it is left to small calls
pytestmark = pytest.mark.usefixtures("nothing_left")


class Gate:
    """An upstream that answers what is large when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.most = 0
        self.began = 0

    async def __call__(self, asked: Request) -> bytes:
        self.most = max(self.most, stats()["filled_held"])
        if asked.body:
            self.began += 1
            if len(asked.body) > SIZE:
                await self.open.wait()
        return answer(200, json.dumps({"v": "v" * SIZE, "w": "w"}).encode(), [("Content-Type", "application/json")])


def limits(**more: Any) -> Limits:
    return Limits(max_request_bytes_in_process=2 * BOUND, **more)


def begun(route: Route, count: int, *, ordered: bool = False, value: str = "v", backwards: bool = False) -> Session:
    """A batch of one call, and so many that refer to what it gives."""
    posts = [
        {
            "id": str(n),
            "method": "post",
            "url": "x",
            "dependsOn": ["a", "b"] if backwards and n == 0 else ["a"],
            "headers": {"content-type": "application/json"},
            "body": [f"$a/{value}"] * 5,
        }
        for n in range(count)
    ]
    gets = [{"id": "a", "method": "get", "url": "a"}, {"id": "b", "method": "get", "url": "b", "dependsOn": ["a"]}]
    session = session_of(route, dialect="json", ordered=ordered)
    session.feed(json.dumps({"requests": gets + posts}).encode())
    session.feed_end()
    return session


async def all_succeed(sessions: list[Session], count: int) -> None:
    async with asyncio.timeout(60):
        for text in await asyncio.gather(*(taken(session) for session in sessions)):
            assert [one["status"] for one in json.loads(text)["responses"]] == [200] * (count + 2)
    assert stats() == NOTHING


@pytest.mark.parametrize("batches", [1, 6])
@pytest.mark.parametrize("ordered", [False, True])
async def test_PL_15_calls_wait_for_room_before_they_are_filled_in_and_all_end(batches: int, ordered: bool) -> None:
    gate = Gate()
    async with serving(gate, limits=limits(), max_connections=100) as (_, _, route):
        sessions = [begun(route, 20, ordered=ordered) for _ in range(batches)]
        ends = asyncio.ensure_future(all_succeed(sessions, 20))
        await turned(lambda: stats()["filled_waiting"] == batches)
        assert 3 * BOUND // 4 - FILLED < stats()["filled_held"] < 3 * BOUND // 4 + FILLED
        gate.open.set()
        await ends
    assert gate.most < BOUND + FILLED


async def test_PL_15_a_small_call_waits_for_none() -> None:
    gate = Gate()
    async with serving(gate, limits=limits(), max_connections=100) as (_, _, route):
        large = begun(route, 20)
        await turned(lambda: stats()["filled_waiting"] == 1)
        small = begun(route, 20, value="w")
        async with asyncio.timeout(60):
            text = await taken(small)
        assert {one["status"] for one in json.loads(text)["responses"]} == {200}
        assert stats()["filled_waiting"] == 1
        gate.open.set()
        await all_succeed([large], 20)


async def test_PL_15_where_no_room_is_enough_one_call_after_the_other_is_filled_in() -> None:
    gate = Gate()
    gate.open.set()
    async with serving(gate, limits=Limits(max_request_bytes_in_process=2), max_connections=100) as (_, _, route):
        await all_succeed([begun(route, 5, ordered=n % 2 == 1, value="vw"[n % 3 // 2]) for n in range(6)], 5)
    assert gate.most < 2 * FILLED


async def test_PL_15_the_earliest_call_of_a_batch_in_request_order_is_filled_in_though_others_wait_before_it() -> None:
    """Those behind it have taken all room, and their results wait for its own."""
    gate = Gate()
    gate.open.set()
    some = limits(reorder_bytes=1, max_in_flight=4)
    async with serving(gate, limits=some, max_connections=100) as (_, _, route):
        await all_succeed([begun(route, 30, ordered=True, backwards=True) for _ in range(3)], 30)


async def test_PL_15_a_batch_that_ends_makes_room() -> None:
    gate = Gate()
    async with serving(gate, limits=limits(), max_connections=100) as (_, _, route):
        first = begun(route, 20)
        await turned(lambda: stats()["filled_waiting"] == 1)
        second, third = begun(route, 2), begun(route, 2)
        await turned(lambda: stats()["filled_waiting"] == 3)
        third.cancel()
        assert stats()["filled_waiting"] == 2
        began = gate.began
        first.cancel()
        await turned(lambda: stats()["filled_waiting"] == 0 and gate.began >= began + 1)
        gate.open.set()
        await all_succeed([second], 2)


async def test_PL_15_a_batch_whose_time_is_over_while_it_waits_says_so_of_its_calls() -> None:
    gate = Gate()
    async with serving(gate, limits=limits(batch_deadline_seconds=1), max_connections=100) as (_, _, route):
        session = begun(route, 20)
        async with asyncio.timeout(60):
            text = await taken(session)
        statuses = [one["status"] for one in json.loads(text)["responses"]]
        assert sorted(set(statuses)) == [200, 504]
        assert statuses.count(504) == 20
        assert stats() == NOTHING


async def test_PL_15_a_batch_that_waits_in_vain_for_room_ends() -> None:
    gate = Gate()
    async with serving(gate, limits=limits(), max_connections=100) as (_, upstream, route):
        first = begun(route, 20)
        await turned(lambda: stats()["filled_waiting"] == 1)
        let_in = begun(route, 2)  # though there is no room
        await turned(lambda: stats()["filled_waiting"] == 2 and stats()["filled_held"] > 3 * BOUND // 4)
        short = Route(root="/svc/", upstream=upstream, limits=limits(client_idle_seconds=0.5))
        session = begun(short, 2)
        async with asyncio.timeout(30):
            while not session.finished:
                session.check_idle()
                session.take()
                await asyncio.sleep(0.05)
        assert session.failure is not None
        assert (session.failure.status, session.failure.code) == (503, "NoRoom")
        gate.open.set()
        async with asyncio.timeout(60):
            await asyncio.gather(taken(first), taken(let_in))
        assert stats() == NOTHING
