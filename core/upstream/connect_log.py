"""The log lines of connections that could not be made (OP-18).

An upstream that is down fails as often as it is tried: a line each LINE_SECONDS says why, and what finds no room is
counted in the next one. Must never be called for a connection that works.
"""

import logging
import time

LINE_SECONDS = 10.0
_log = logging.getLogger("batchwire.core")


class ConnectLog:
    """upstream: its name. clock: seconds, monotonic."""

    def __init__(self, upstream, clock=time.monotonic):
        self._upstream = upstream
        self._clock = clock
        self._silent_until = 0.0
        self._untold = 0

    def add(self, address, reason):
        """A connection to the address has failed."""
        now = self._clock()
        if now < self._silent_until:
            self._untold += 1
            return
        self._silent_until = now + LINE_SECONDS
        fields = {"upstream": self._upstream, "address": address, "reason": reason}
        if self._untold:
            fields["untold"] = self._untold
        self._untold = 0
        _log.warning("an upstream cannot be reached", extra=fields)
