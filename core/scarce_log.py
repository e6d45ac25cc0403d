"""A log line that says the same again and again: at most one each LINE_SECONDS.

What finds no room is counted in the next one, which comes when there is room again, whether more happens or not.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

LINE_SECONDS = 10.0
_log = logging.getLogger("batchwire.core")


class ScarceLog:
    """message: of the line. loop: its timer runs while something is untold. clock: seconds, monotonic.

    fields: of each line.
    """

    def __init__(
        self,
        message: str,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
        **fields: Any,
    ) -> None:
        self._message = message
        self._loop = loop
        self._clock = clock
        self._fields = fields
        self._silent_until = 0.0
        self._untold = 0
        self._latest: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, **fields: Any) -> None:
        """It has happened; fields: of the line, beside those of all."""
        seconds = self._silent_until - self._clock()
        self._latest = fields
        self._untold += 1
        if seconds <= 0:
            self.tell_rest()
        elif self._timer is None:
            self._timer = self._loop.call_later(seconds, self.tell_rest)

    def tell_rest(self) -> None:
        """Says what no line has said yet: the latest, and how many were before it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._untold:
            return
        fields = {**self._fields, **self._latest}
        if self._untold > 1:
            fields["untold"] = self._untold - 1
        self._untold = 0
        self._silent_until = self._clock() + LINE_SECONDS
        _log.warning(self._message, extra=fields)
