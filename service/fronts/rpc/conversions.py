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
SHORT, MIDDLING = 65536, 262144
"""Bytes of a text that does not wait for longer ones."""
MOST = 1 << 20
"""Bytes of texts of each of these sizes, and of long ones, that are converted at once; or one text."""


class _Lane:
    """Peers have their turns one after the other, however many texts wait of each."""

    def __init__(self) -> None:
        self._busy = 0
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}  # by peer, the next one first

    async def enter(self, size: int, peer: str) -> None:
        """Returns in its turn; leave() follows."""
        if not self._waiting and self._fits(size):
            self._busy += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(peer, deque()).append((size, turn))
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
            peer, texts = next(iter(self._waiting.items()))
            while texts and texts[0][1].done():  # whoever waited was cancelled
                texts.popleft()
            if texts:
                size, turn = texts[0]
                if not self._fits(size):
                    return
                texts.popleft()
                self._busy += size
                turn.set_result(None)
            del self._waiting[peer]
            if texts:
                self._waiting[peer] = texts

    def stats(self) -> tuple[int, int]:
        waiting = sum(not turn.done() for texts in self._waiting.values() for _, turn in texts)
        return self._busy, waiting


_short, _middling, _long = _Lane(), _Lane(), _Lane()


def stats() -> dict[str, int]:
    """Debug counters: bytes of texts that are being converted, and texts that wait for that."""
    found = [lane.stats() for lane in (_short, _middling, _long)]
    return {"converting": sum(busy for busy, _ in found), "waiting": sum(waiting for _, waiting in found)}


@asynccontextmanager
async def turn_for(size: int, peer: str, seconds: float) -> AsyncIterator[None]:
    """In it a text of so many bytes may be converted. Raises EnvelopeError where its turn has not come by then."""
    if size <= FREE:
        yield
        return
    lane = _short if size <= SHORT else _middling if size <= MIDDLING else _long
    try:
        async with asyncio.timeout(seconds):
            await lane.enter(size, peer)
    except TimeoutError:
        raise EnvelopeError(503, "NoRoom", f"the JSON was not converted for {seconds:g} s: others come first") from None
    try:
        yield
    finally:
        lane.leave(size)
