"""Long conversions in Python in slices, as core.session.turns has it for batches (PL-01).

Who has worked for a slice rests; in each turn of the loop one of those who rest goes on, however many they are. Must
never put off who has done less.
"""

import asyncio
import time
from collections import deque

SECONDS = 0.004  # that a conversion works in one go
PIECE_BYTES = 65536  # that are copied or converted at once


class Slices:
    """Of one conversion. Between two looks at over() lie at most some 64 KiB, or a piece of a list."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def over(self) -> bool:
        """Whether rest() is to be awaited before more is done."""
        return time.perf_counter() - self._since >= SECONDS

    async def rest(self) -> None:
        """Goes on in a later turn of the loop."""
        await _line_of(asyncio.get_running_loop()).turn()
        self._since = time.perf_counter()


class _Line:
    """Those of one loop who rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._due = False

    async def turn(self) -> None:
        waits = self.loop.create_future()
        self._waiting.append(waits)
        if not self._due:
            self._due = True
            self.loop.call_soon(self._on_turn)
        await waits

    def _on_turn(self) -> None:
        while self._waiting:
            waits = self._waiting.popleft()
            if not waits.done():  # who was cancelled leaves the turn to the next
                waits.set_result(None)
                break
        self._due = bool(self._waiting)
        if self._due:
            self.loop.call_soon(self._on_turn)


_current: _Line | None = None


def _line_of(loop: asyncio.AbstractEventLoop) -> _Line:
    global _current
    if _current is None or _current.loop is not loop:
        _current = _Line(loop)
    return _current
