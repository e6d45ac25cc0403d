"""How much JSON of Connect is converted at once in the process; what is more waits in line (FR-10, PL-13).

What json.loads() makes of a text takes ten to twenty times its bytes, so that no more than a few texts may be on their
way. Must never let short texts wait for long ones.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batchwire.core import EnvelopeError

FREE = 4096
"""Bytes of a text that does not wait: it is done in a slice."""
SHORT = 65536
"""Bytes of a text that does not wait for longer ones."""
MOST = 1 << 20
"""Bytes of short texts, and of long ones, that are converted at once; or one text."""


class _Lane:
    def __init__(self) -> None:
        self._busy = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Returns in its turn; leave() follows."""
        if not self._waiting and self._fits(size):
            self._busy += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()
            else:
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        self._busy -= size
        self._admit()

    def _fits(self, size: int) -> bool:
        return self._busy == 0 or self._busy + size <= MOST

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():  # or whoever waited was cancelled
                if not self._fits(size):
                    return
                self._busy += size
                turn.set_result(None)
            self._waiting.popleft()

    def stats(self) -> tuple[int, int]:
        return self._busy, sum(not turn.done() for _, turn in self._waiting)


_short, _long = _Lane(), _Lane()


def stats() -> dict[str, int]:
    """Debug counters: bytes of texts that are being converted, and texts that wait for that."""
    short, long = _short.stats(), _long.stats()
    return {"converting": short[0] + long[0], "waiting": short[1] + long[1]}


@asynccontextmanager
async def turn_for(size: int, seconds: float) -> AsyncIterator[None]:
    """In it a text of so many bytes may be converted. Raises EnvelopeError where its turn has not come by then."""
    if size <= FREE:
        yield
        return
    lane = _short if size <= SHORT else _long
    try:
        async with asyncio.timeout(seconds):
            await lane.enter(size)
    except TimeoutError:
        raise EnvelopeError(503, "NoRoom", f"the JSON was not converted for {seconds:g} s: others come first") from None
    try:
        yield
    finally:
        lane.leave(size)
