"""A client that has begun a request must go on with it: for calls that come as HTTP requests (FR-05)."""

import asyncio
from typing import Any

from batchwire.core import EnvelopeError

from ..http.head import Fields, Head
from ..http.http_request import HttpRequest

GRACE_SECONDS = 10.0


class PacedRequest(HttpRequest):
    """rate: bytes a second that its body must come at, 0 for any. idle_seconds: that it may wait for the next."""

    def __init__(self, head: Head, exchange: Any, fields: Fields, rate: float, idle_seconds: float) -> None:
        super().__init__(head, exchange, fields)
        self._rate = rate
        self._idle_seconds = idle_seconds
        self._grace = min(GRACE_SECONDS, idle_seconds)
        self._waited = 0.0
        self._got = 0

    async def read(self) -> bytes | None:
        """As of any request. Raises EnvelopeError, too, where the body comes too slowly or not at all."""
        patience = self._idle_seconds
        if self._rate:
            patience = max(min(patience, self._grace + self._got / self._rate - self._waited), 0.0)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(patience):
                data = await super().read()
        except TimeoutError:
            raise EnvelopeError(408, "ClientTooSlow", "the request comes too slowly") from None
        self._waited += clock() - began
        self._got += len(data or b"")
        return data
