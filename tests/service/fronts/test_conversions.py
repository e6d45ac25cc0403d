"""Texts of Connect's JSON are converted a few at a time (FR-10): who waits, for whom, and who waits no more."""

from __future__ import annotations

import asyncio

import pytest
from batchwire.core import EnvelopeError
from batchwire.service.fronts.rpc import conversions
from batchwire.service.fronts.rpc.conversions import FREE, MIDDLING, MOST, SHORT, turn_for

NOTHING = {"converting": 0, "waiting": 0}
PATIENCE = 60.0


class Conversion:
    """One that lasts until it is told to end."""

    def __init__(self, size: int, peer: str = "one") -> None:
        self.began = False
        self.end = asyncio.Event()
        self._size = size
        self._peer = peer
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async with turn_for(self._size, self._peer, PATIENCE):
            self.began = True
            await self.end.wait()


async def settle() -> None:
    """Lets all go on that may."""
    for _ in range(10):
        await asyncio.sleep(0)


async def finish(*all_of_them: Conversion) -> None:
    for one in all_of_them:
        one.end.set()
    await asyncio.gather(*(one.task for one in all_of_them), return_exceptions=True)
    assert conversions.stats() == NOTHING


async def test_FR_10_texts_are_converted_at_once_up_to_a_bound_and_one_in_any_case() -> None:
    together = [Conversion(MOST // 2) for _ in range(3)]
    alone = Conversion(2 * MOST)
    await settle()
    assert [one.began for one in (*together, alone)] == [True, True, False, False]
    assert conversions.stats() == {"converting": MOST, "waiting": 2}
    together[0].end.set()
    await settle()
    assert [one.began for one in (*together, alone)] == [True, True, True, False]
    await finish(*together, alone)
    assert alone.began


@pytest.mark.parametrize("size", [FREE, SHORT, MIDDLING])
async def test_FR_10_short_texts_do_not_wait_for_long_ones(size: int) -> None:
    long = [Conversion(4 * MOST) for _ in range(2)]
    short = Conversion(size)
    await settle()
    assert [one.began for one in (*long, short)] == [True, False, True]
    await finish(*long, short)


async def test_FR_10_peers_have_their_turns_one_after_the_other() -> None:
    many = [Conversion(MOST) for _ in range(4)]
    other = Conversion(MOST, "other")
    await settle()
    many[0].end.set()
    await settle()
    assert [one.began for one in (*many, other)] == [True, True, False, False, False]
    many[1].end.set()
    await settle()
    assert [one.began for one in (*many, other)] == [True, True, False, False, True]
    await finish(*many, other)


async def test_FR_10_whoever_is_cancelled_in_line_leaves_it_to_the_next() -> None:
    ones = [Conversion(MOST) for _ in range(6)]
    await settle()
    for one in ones[:4]:  # the one that is converted, and three that wait, in one turn of the loop
        one.task.cancel()
    ones[0].end.set()
    await settle()
    assert [one.began for one in ones] == [True, False, False, False, True, False]
    await finish(*ones)


async def test_FR_10_whoever_is_cancelled_as_its_turn_comes_gives_it_back() -> None:
    ones = [Conversion(MOST) for _ in range(3)]
    await settle()
    ones[0].end.set()
    for _ in range(10):
        if conversions.stats()["waiting"] == 1:
            break
        await asyncio.sleep(0)
    ones[1].task.cancel()
    await settle()
    assert [one.began for one in ones] == [True, False, True]
    await finish(*ones)


async def test_FR_10_whose_turn_does_not_come_in_time_is_refused() -> None:
    first = Conversion(MOST)
    await settle()
    with pytest.raises(EnvelopeError) as raised:
        async with turn_for(MOST, "one", 0.01):
            raise AssertionError("it had its turn")
    assert (raised.value.status, raised.value.code) == (503, "NoRoom")
    await finish(first)
