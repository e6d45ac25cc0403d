"""An ASGI app for the tests of HTTP/2: it tells how a request has reached it."""

from __future__ import annotations

import json
from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    seen = {
        "version": scope["http_version"],
        "scheme": scope["scheme"],
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": len(body),
        "client": bool(scope["client"]),
    }
    text = json.dumps(seen).encode()
    # Names in any case, and fields of a connection, as apps written for HTTP/1.1 give them.
    headers = [(b"Content-Type", b"application/json"), (b"Connection", b"close"), (b"X-Seen", b"yes")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for at in range(0, len(text), 50):
        await send({"type": "http.response.body", "body": text[at : at + 50], "more_body": at + 50 < len(text)})
