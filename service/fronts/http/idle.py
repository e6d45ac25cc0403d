"""Finds requests of served apps whose client neither sends nor takes anything any more.

After batches the core looks itself. One timer for all requests of a front, so that one costs an entry and two
attributes. It knows no protocol; it must never end a request that waits for its app only.
"""

import asyncio


class IdleTracked:
    """A request in flight, as the sweep sees it; to derive from.

    waiting: the number of places (reading, writing) where it waits for the client just now.
    last_activity: loop time of the last bytes in either direction.
    """

    waiting: int
    last_activity: float

    def unsent_bytes(self) -> int:
        """Bytes that wait for the client, where the front can tell; fewer than before count as a move."""
        return 0

    def expire(self) -> None:
        """The client has been idle for too long. Called once."""
        raise NotImplementedError


class IdleSweep:
    """Expires exchanges after `seconds` (0: never) without a move while they wait for their client."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._unsent: dict[IdleTracked, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, exchange: IdleTracked) -> None:
        """Watches an exchange until `discard`."""
        exchange.waiting = 0
        exchange.last_activity = self._loop.time()
        self._unsent[exchange] = 0
        if self._timer is None and self._seconds:
            self._timer = self._loop.call_later(self._seconds / 4, self._sweep)

    def discard(self, exchange: IdleTracked) -> None:
        """Watches it no longer."""
        self._unsent.pop(exchange, None)

    def close(self) -> None:
        """Stops for good."""
        self._seconds = 0.0
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for exchange, unsent_before in list(self._unsent.items()):
            unsent = exchange.unsent_bytes()
            if unsent < unsent_before:
                exchange.last_activity = now
            self._unsent[exchange] = unsent
            if exchange.waiting and now - exchange.last_activity >= self._seconds:
                self.discard(exchange)
                exchange.expire()
        if self._unsent and self._seconds:
            self._timer = self._loop.call_later(self._seconds / 4, self._sweep)
