"""ASGI apps for the tests of `serve_app`: one that tells what it was asked, and fails on demand."""

from __future__ import annotations

import asyncio
import json
from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/inside/fails":
        raise RuntimeError("no answer at all")
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    await send(head)
    if scope["path"] == "/inside/breaks":
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("half an answer")
    if scope["path"] == "/inside/slow":
        await asyncio.sleep(2)
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "body": len(body),
        "started": scope["state"].get("started"),
        "extensions": sorted(scope.get("extensions", {})),
    }
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
