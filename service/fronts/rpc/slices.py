"""Work in Python in slices, as core.session.turns has it for batches (PL-01).

All that is done here in a turn of the loop takes a slice together. Then who has more to do waits for a later turn,
and so does who has worked for a slice itself. Who goes on first is decided among peers, as there: one with many calls
has no more than one with few. Must never put off who comes while the slice of this turn is not used up.
"""

import asyncio
import time
from contextvars import ContextVar
from heapq import heappop, heappush

SECONDS = 0.004  # that one works in one go, and all of them in one turn of the loop
PIECE_BYTES = 65536  # that are copied or converted at once
WOKEN = 8  # of those that wait, in one turn: each looks whether the slice is used up

PEER: ContextVar[str] = ContextVar("peer", default="")
"""For whom this task works."""


class Slices:
    """Of one conversion. Between two looks at over() lie at most some 64 KiB, or a piece of a list."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def over(self) -> bool:
        """Whether rest() is to be awaited before more is done."""
        return time.perf_counter() - self._since >= SECONDS

    async def rest(self) -> None:
        """Goes on in a later turn of the loop."""
        await _line_of(asyncio.get_running_loop()).wait(PEER.get())
        self._since = time.perf_counter()


async def turn() -> None:
    """Returns when what takes up to a slice may be done in this turn of the loop."""
    line = _line_of(asyncio.get_running_loop())
    if line.is_used_up():
        await line.wait(PEER.get())


class _Line:
    """Those of one loop who wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []  # heap, by when their turns begin
        self._count = 0
        self._virtual = 0.0  # seconds of which each peer that waits has had as many
        self._had: dict[str, float] = {}  # by peer, up to when it has had its part, since somebody waits
        self._began = 0.0  # when somebody worked first in this turn of the loop
        self._due = False
        self._fresh = False  # nobody has asked in this turn

    def is_used_up(self) -> bool:
        """Whether the slice of this turn is. Who asks first in a turn has some of it in any case."""
        now = time.perf_counter()
        if not self._due:
            self._begin(now)
        first, self._fresh = self._fresh, False
        return not first and now - self._began >= SECONDS

    async def wait(self, peer: str) -> None:
        begins = max(self._virtual, self._had.get(peer, 0.0))
        self._had[peer] = begins + SECONDS
        while True:
            waits = self.loop.create_future()
            self._count += 1
            heappush(self._waiting, (begins, self._count, waits))
            if not self._due:
                self._begin(time.perf_counter())
            await waits
            if not self.is_used_up():
                self._virtual = max(self._virtual, begins)
                break

    def _begin(self, now: float) -> None:
        self._began = now
        self._due = self._fresh = True
        self.loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        """The next turn of the loop: what has been done since the last belongs to that."""
        self._due = False
        if not self._waiting:
            self._virtual = 0.0
            self._had.clear()
            return
        now = time.perf_counter()
        share = (now - self._began) / len(self._waiting)
        self._begin(now)
        for _ in range(min(WOKEN, len(self._waiting))):
            _, _, waits = heappop(self._waiting)
            if not waits.done():  # or whoever waited was cancelled
                waits.set_result(None)
        self._virtual += share


_current: _Line | None = None


def _line_of(loop: asyncio.AbstractEventLoop) -> _Line:
    global _current
    if _current is None or _current.loop is not loop:
        _current = _Line(loop)
    return _current
