"""The log lines of an application that fails: many at once become a number."""

import asyncio
import logging
import time

TOLD = 10  # failures that are logged each
SECONDS = 1.0  # within so many; the others are counted
_log = logging.getLogger("batchwire.asgi")


class Complaints:
    """name: of the upstream."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        self._since = 0.0  # when the seconds began of which `told` failures were logged
        self._told = 0
        self._untold = 0  # those of which no line spoke yet

    def tell(self, what: str, error: BaseException | None = None) -> None:
        """Logs one. error: whose traceback is told."""
        now = time.monotonic()
        if now - self._since >= SECONDS:
            self._since = now
            self._told = 0
        if self._told < TOLD:
            self._told += 1
            _log.error("%s", what, exc_info=error, extra={"upstream": self._name})
            return
        if self._untold == 0:
            self._loop.call_later(SECONDS, self.flush)
        self._untold += 1

    def flush(self) -> None:
        """Tells how many were only counted."""
        untold, self._untold = self._untold, 0
        if untold:
            _log.error("the application of %s failed %d times more", self._name, untold, extra={"upstream": self._name})
