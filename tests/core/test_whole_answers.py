"""AN-13: answers that come whole in one read, and results that wait for earlier ones, are held up beforehand."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from batchwire.core import Limits
from batchwire.core.dispatch.inflow import stats
from core_driving import Request, answer, serving, session_of, taken

MIB = 1 << 20
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
LITTLE = Limits(max_answer_bytes_in_process=16 * MIB)
pytestmark = pytest.mark.usefixtures("nothing_left")


def document(count: int, size: int, first: str = "") -> bytes:
    urls = [first] * bool(first) + [f"{n}/{size}" for n in range(count)]
    return json.dumps(
        {"requests": [{"id": str(n), "method": "get", "url": url} for n, url in enumerate(urls)]}
    ).encode()


def begun(route: Any, text: bytes, **options: Any) -> Any:
    session = session_of(route, dialect="json", **options)
    session.feed(text)
    session.feed_end()
    return session


async def most_held(until_calm: int = 3000) -> int:
    """Bytes at once until nothing has become more for so many turns of the loop."""
    most = calm = 0
    while calm < until_calm:
        held = stats()["answers_reading"] + stats()["answers_out"]
        calm = 0 if held > most else calm + 1
        most = max(most, held)
        await asyncio.sleep(0)
    return most


@pytest.mark.parametrize(("size", "count"), [(200_000, 20), (50_000, 80), (2_000, 900)])
@pytest.mark.parametrize("ordered", [False, True])
async def test_AN_13_answers_that_come_whole_are_asked_for_while_there_is_room(
    size: int, count: int, ordered: bool
) -> None:
    """In request order they wait for one that has no end yet."""
    opened = asyncio.Event()

    async def answering(made: Request) -> bytes:
        if made.target.endswith(b"/late"):
            await opened.wait()
            return answer(200, b"late")
        return answer(200, bytes(int(made.target.rpartition(b"/")[2])))

    clients = 60
    async with serving(answering, max_connections=clients + 16, limits=LITTLE) as (_, _, route):
        text = document(count, size, "x/late" if ordered else "")
        sessions = []
        for _ in range(clients):
            sessions.append(begun(route, text, ordered=ordered))
            await asyncio.sleep(0)
        # One call of each batch starts in any case.
        assert await most_held() <= 16 * MIB + clients * (size + 131_072) + 16 * 262_144
        opened.set()
        for done in await asyncio.gather(*map(taken, sessions)):
            assert [one["status"] for one in json.loads(done)["responses"]] == [200] * (count + ordered)
        del sessions
        gc.collect()
        assert stats() == NOTHING


@pytest.mark.parametrize("ordered", [False, True])
async def test_AN_13_large_answers_that_nobody_takes_keep_no_smaller_batch_waiting(ordered: bool) -> None:
    """There is a reserve for batches that hold little with all of an answer, and large ones do not begin in it."""

    def answering(made: Request) -> bytes:
        return answer(200, bytes(int(made.target.rpartition(b"/")[2])))

    limits = Limits(max_answer_bytes_in_process=48 * MIB)
    async with serving(answering, max_connections=24, limits=limits) as (_, _, route):
        hogs = [begun(route, document(4, 8_000_000), ordered=ordered) for _ in range(40)]
        held = await most_held()
        assert held > 24 * MIB
        for size in (1_000, 100_000, 400_000) * 3:
            async with asyncio.timeout(30):
                done = await taken(begun(route, document(1, size)))
            assert [one["status"] for one in json.loads(done)["responses"]] == [200]
        for hog in hogs:
            hog.cancel()


async def test_AN_13_answers_that_waiting_calls_need_count() -> None:
    opened = asyncio.Event()
    value = json.dumps({"id": 1, "x": "y" * 400_000}).encode()

    async def answering(made: Request) -> bytes:
        if made.target.endswith(b"/late"):
            await opened.wait()
        return answer(200, value if b"/value" in made.target else b"{}", [("Content-Type", "application/json")])

    members = [{"id": "late", "method": "get", "url": "x/late"}]
    for n in range(20):
        members.append({"id": f"v{n}", "method": "get", "url": f"x/value/{n}"})
        members.append(
            {"id": f"u{n}", "method": "get", "url": f"x?q=$v{n}/id", "dependsOn": ["late", f"v{n}"]}  # type: ignore[dict-item]
        )
    text = json.dumps({"requests": members}).encode()
    clients = 30
    async with serving(answering, max_connections=clients + 16, limits=LITTLE) as (_, _, route):
        sessions = [begun(route, text) for _ in range(clients)]
        tasks = [asyncio.create_task(taken(session)) for session in sessions]
        # One batch goes on to its end in any case.
        assert await most_held() <= 16 * MIB + clients * (400_000 + 131_072) + 20 * 500_000 + 16 * 262_144
        opened.set()
        for done in await asyncio.gather(*tasks):
            assert [one["status"] for one in json.loads(done)["responses"]] == [200] * 41
        del sessions, tasks
        gc.collect()
        assert stats() == NOTHING
