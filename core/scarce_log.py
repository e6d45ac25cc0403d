"""A log line that says the same again and again: at most one each LINE_SECONDS.

What finds no room is counted in the next one.
"""

import logging
import time

LINE_SECONDS = 10.0
_log = logging.getLogger("batchwire.core")


class ScarceLog:
    """message: of the line. fields: of each. clock: seconds, monotonic."""

    def __init__(self, message, clock=time.monotonic, **fields):
        self._message = message
        self._fields = fields
        self._clock = clock
        self._silent_until = 0.0
        self._untold = 0

    def add(self, **fields):
        """It has happened; fields: of the line, beside those of all."""
        now = self._clock()
        if now < self._silent_until:
            self._untold += 1
            return
        self._silent_until = now + LINE_SECONDS
        fields = {**self._fields, **fields}
        if self._untold:
            fields["untold"] = self._untold
        self._untold = 0
        _log.warning(self._message, extra=fields)
