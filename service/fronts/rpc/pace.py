"""A client that has begun a request must go on with it: for calls that come as HTTP requests (FR-05)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from batchwire.core import EnvelopeError

GRACE_SECONDS = 10.0
Receive = Callable[[], Awaitable[Any]]


def paced(receive: Receive, rate: float, idle_seconds: float) -> Receive:
    """receive(), which raises EnvelopeError where the body comes at less than `rate` bytes a second, or not at all."""
    grace, waited, got, whole = min(GRACE_SECONDS, idle_seconds), 0.0, 0, False
    clock = asyncio.get_running_loop().time

    async def next_part() -> Any:
        nonlocal waited, got, whole
        if whole:  # what comes now is only the notice that the client is gone
            return await receive()
        patience = idle_seconds
        if rate:
            patience = max(min(patience, grace + got / rate - waited), 0.0)
        began = clock()
        try:
            async with asyncio.timeout(patience):
                message = await receive()
        except TimeoutError:
            raise EnvelopeError(408, "ClientTooSlow", "the request comes too slowly") from None
        waited += clock() - began
        got += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message

    return next_part
