"""The log lines of batches that are refused before they begin (OP-14).

A flood of refusals must not become dearer by being told: lines have a bound a second, and what finds no room is counted
in the next one. Must never log what a client sent.
"""

import time
from collections.abc import Callable

import structlog

LINES_A_SECOND = 10
_log = structlog.get_logger("batchwire")


class RefusalLog:
    """clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._room = 0
        self._untold = 0

    def add(self, front: str, route: str, status: int, code: str, peer: str) -> None:
        """One batch was refused; status: of HTTP, code: of the error."""
        self._look()
        if not self._room:
            self._untold += 1
            return
        self._room -= 1
        untold, self._untold = self._untold, 0
        more = {"untold": untold} if untold else {}
        _log.info("batch refused", front=front, route=route, peer=peer, status=status, code=code, **more)

    def tell_rest(self) -> None:
        """Says what no line has counted yet, where none followed."""
        self._look()
        if self._untold and self._room:
            self._room -= 1
            untold, self._untold = self._untold, 0
            _log.info("batches refused", untold=untold)

    def _look(self) -> None:
        now = self._clock()
        if now >= self._until:
            self._until = now + 1.0
            self._room = LINES_A_SECOND
