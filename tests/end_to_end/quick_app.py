"""An ASGI app that answers at once and counts, so that a test of the gateway's own size and speed waits for nothing."""

from __future__ import annotations

from typing import Any

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
calls = 0


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The answer is the number of the calls so far."""
    global calls
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    calls += 1
    await send(HEAD)
    await send({"type": "http.response.body", "body": b'{"calls":%d,"path":"%b"}' % (calls, scope["raw_path"])})
