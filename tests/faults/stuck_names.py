"""An app that makes lookups of names in its process hang, as those of a dead name server do."""

import socket
import threading
from typing import Any

_system = socket.getaddrinfo


def _getaddrinfo(host: Any, *more: Any, **options: Any) -> Any:
    if str(host).endswith(".stuck.test") and not options.get("flags", 0) & socket.AI_NUMERICHOST:
        threading.Event().wait()
    return _system(host, *more, **options)


socket.getaddrinfo = _getaddrinfo


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """200 to everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
