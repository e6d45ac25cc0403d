"""PL-13: requests of all batches together are bounded, none waits for ever, and nothing stays counted."""

import asyncio
import json
import random
from typing import Any

import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.session.crowd import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import Request, answer, call, run, serving, session_of, taken, turned

MIB = 1 << 20
NOTHING = {"request_held": 0, "request_waiting": 0}
KINDS = ["json", "multipart", "proto"]
pytestmark = pytest.mark.usefixtures("nothing_left")


def request(kind: str, count: int, size: int) -> tuple[dict[str, Any], list[bytes]]:
    """What a session is made with, and the pieces of a batch of calls with bodies of `size` bytes."""
    if kind == "proto":
        calls = [call(str(n), method="POST", body=b"x" * size) for n in range(count)]
        return {}, [pb.BatchRequest(calls=[one]).SerializeToString() for one in calls]
    if kind == "json":
        entry = {"method": "POST", "url": "x", "headers": {"content-type": "text/plain"}, "body": "x" * size}
        text = json.dumps({"requests": [{"id": str(n), **entry} for n in range(count)]}).encode()
        return {"dialect": "json"}, cut(text)
    head = b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nPOST x HTTP/1.1\r\n\r\n"
    text = (head + b"x" * size + b"\r\n") * count + b"--b--\r\n"
    return {"dialect": "multipart", "boundary": b"b", "answer_boundary": b"b"}, cut(text)


def cut(text: bytes) -> list[bytes]:
    return [text[at : at + 65536] for at in range(0, len(text), 65536)]


async def send(session: Session, pieces: list[bytes], *, whole: bool = True) -> None:
    """whole: its last piece, too."""
    for piece in pieces if whole else pieces[:-1]:
        await session.wait_input()
        session.feed(piece)
        await asyncio.sleep(0)  # as pieces come over a wire
    if whole:
        session.feed_end()


class Gate:
    """An upstream that answers what is large when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.most = 0

    async def __call__(self, asked: Request) -> bytes:
        self.most = max(self.most, stats()["request_held"])
        if len(asked.body) > 100:
            await self.open.wait()
        return answer(200, b"yes")


def limits(**more: Any) -> Limits:
    return Limits(max_request_bytes_in_process=4 * MIB, max_pending_bytes=2 * MIB, max_call_bytes=MIB, **more)


async def crowd(route: Route, kind: str, count: int = 6) -> tuple[list[Session], list["asyncio.Task[None]"]]:
    """Batches of 4 MiB each, of which all but the first few wait."""
    sessions, senders = [], []
    for _ in range(count):
        options, pieces = request(kind, 8, MIB // 2)
        sessions.append(session_of(route, **options))
        senders.append(asyncio.ensure_future(send(sessions[-1], pieces)))
    await turned(lambda: stats()["request_waiting"] >= 2)
    return sessions, senders


@pytest.mark.parametrize("kind", KINDS)
async def test_PL_13_batches_wait_for_room_a_small_one_does_not_and_all_end(kind: str) -> None:
    gate = Gate()
    async with serving(gate, limits=limits()) as (_, _, route):
        sessions, senders = await crowd(route, kind)
        assert stats()["request_held"] < 4 * MIB + 2 * MIB + 2 * MIB  # the bound, the one that goes on, one call
        small = await run(route, [call("1")])
        assert small.statuses == {"1": 200}
        gate.open.set()
        answers = await asyncio.gather(*map(taken, sessions))
        await asyncio.gather(*senders)
        assert [session.summary["succeeded"] for session in sessions] == [8] * 6
        assert all(answers)
        assert gate.most < 4 * MIB + 6 * MIB // 2 + 2 * MIB  # the bound, one call of each, the one that goes on
    assert stats() == NOTHING


@pytest.mark.parametrize("bound", [1, MIB])
@pytest.mark.parametrize("kind", KINDS)
async def test_PL_13_any_bound_lets_all_end(kind: str, bound: int) -> None:
    shape = random.Random(bound)
    async with serving(limits=Limits(max_request_bytes_in_process=bound, max_in_flight=3)) as (_, _, route):
        sessions, senders = [], []
        for _ in range(12):
            options, pieces = request(kind, shape.randint(1, 20), shape.choice([10, 30_000, 300_000]))
            sessions.append(session_of(route, **options))
            senders.append(asyncio.ensure_future(send(sessions[-1], pieces)))
        await asyncio.gather(*senders, *map(taken, sessions))
        assert all(s.summary["calls"] == s.summary["succeeded"] + s.summary["failed"] for s in sessions)
        assert all(s.failure is None for s in sessions)
    assert stats() == NOTHING


@pytest.mark.parametrize("kind", KINDS)
async def test_PL_13_what_is_cancelled_makes_room(kind: str) -> None:
    gate = Gate()
    async with serving(gate, limits=limits()) as (_, _, route):
        sessions, senders = await crowd(route, kind)
        for session in sessions[:-1]:
            session.cancel()
        gate.open.set()
        await taken(sessions[-1])
        await asyncio.gather(*senders)
        assert sessions[-1].summary["succeeded"] == 8
    assert stats() == NOTHING


@pytest.mark.parametrize("ended", ["deadline", "idle"])
async def test_PL_13_waiting_ends_with_the_time_of_the_batch(ended: str) -> None:
    gate = Gate()
    more = {"client_idle_seconds": 0.2} if ended == "idle" else {}
    async with serving(gate, limits=limits(**more)) as (_, _, route):
        sessions, senders = await crowd(route, "json")
        options, pieces = request("json", 8, MIB // 2)
        late = session_of(route, deadline=0.1 if ended == "deadline" else 0.0, **options)
        senders.append(asyncio.ensure_future(send(late, pieces)))
        await taken(late)
        assert (late.failure.status, late.failure.code) == (503, "NoRoom")
        for session in sessions:
            session.cancel()
        await asyncio.gather(*senders)
    assert stats() == NOTHING


async def test_PL_13_what_is_let_go_brings_the_one_that_holds_least_to_its_end() -> None:
    """And is not spread over all that wait, of which none would have enough."""
    bounds = Limits(max_request_bytes_in_process=8 * MIB, max_call_bytes=16 * MIB, max_pending_bytes=16 * MIB)
    async with serving(limits=bounds) as (_, _, route):
        early, senders = [], []
        for _ in range(3):
            options, pieces = request("json", 1, 6 * MIB)
            early.append(session_of(route, **options))
            senders.append(asyncio.ensure_future(send(early[-1], pieces, whole=False)))
        await turned(lambda: stats()["request_waiting"] == 2 and sum(sender.done() for sender in senders) == 1)
        options, pieces = request("json", 1, 3 * MIB // 2)
        late = session_of(route, **options)
        senders.append(asyncio.ensure_future(send(late, pieces)))
        await turned(lambda: stats()["request_waiting"] == 3)
        [going_on] = (session for session, sender in zip(early, senders[:3], strict=True) if sender.done())
        going_on.cancel()
        assert await taken(late)
        assert late.summary["succeeded"] == 1
        assert [session.failure for session in early] == [None] * 3
        for session in early:
            session.cancel()
        await asyncio.gather(*senders)
    assert stats() == NOTHING


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100_000, MIB])
async def test_PL_13_who_comes_later_with_little_finds_room(kind: str, size: int) -> None:
    """However many send some of a batch, and no more."""
    bounds = Limits(max_request_bytes_in_process=8 * MIB, max_call_bytes=16 * MIB, max_pending_bytes=16 * MIB)
    async with serving(limits=bounds) as (_, _, route):
        early, senders = [], []
        for _ in range(18):
            options, pieces = request(kind, 8, size // 8)
            early.append(session_of(route, **options))
            senders.append(asyncio.ensure_future(send(early[-1], pieces, whole=False)))
        for _ in range(200):
            await asyncio.sleep(0)
        for _ in range(3):
            options, pieces = request(kind, 1, 200_000)
            late = session_of(route, **options)
            async with asyncio.timeout(5):
                await send(late, pieces)
                assert await taken(late)
            assert late.summary["succeeded"] == 1
        for session in early:
            session.cancel()
        await asyncio.gather(*senders)
    assert stats() == NOTHING
