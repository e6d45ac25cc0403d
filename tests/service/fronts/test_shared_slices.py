"""Work in Python shares a slice of each turn of the loop, and peers have equal parts of it (PL-01)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from batchwire.service.fronts.rpc.slices import PEER, SECONDS, turn


class Work:
    """Units of half a slice each, for a peer."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.turns: Counter[int] = Counter()
        self._turn = 0
        self.moved = asyncio.Event()

    async def do(self, peer: str, units: int) -> None:
        PEER.set(peer)
        for _ in range(units):
            await turn()
            until = time.perf_counter() + SECONDS / 2
            while time.perf_counter() < until:
                pass
            self.done[peer] += 1
            self.turns[self._turn] += 1
            self.moved.set()

    async def until(self, units: int) -> None:
        while self.done.total() < units:
            self.moved.clear()
            await self.moved.wait()

    async def count_turns(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._turn += 1


async def test_PL_01_what_many_do_in_one_turn_of_the_loop_is_bounded() -> None:
    work = Work()
    counter = asyncio.ensure_future(work.count_turns())
    await asyncio.gather(*(work.do(f"peer {n}", 5) for n in range(30)))
    counter.cancel()
    assert sum(work.done.values()) == 150
    assert max(work.turns.values()) <= 3


async def test_PL_01_a_peer_with_many_calls_has_no_more_than_one_with_few() -> None:
    work = Work()
    many = [asyncio.ensure_future(work.do("many", 10)) for _ in range(30)]
    await work.until(40)
    before = work.done["many"]
    await work.do("one", 10)
    assert work.done["many"] - before < 60  # were each call to have as much, 260
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


async def test_PL_01_who_is_cancelled_in_line_takes_no_turn() -> None:
    work = Work()
    tasks = [asyncio.ensure_future(work.do(f"peer {n % 3}", 4)) for n in range(30)]
    await work.until(10)
    for task in tasks[::2]:
        task.cancel()
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks, return_exceptions=True)
