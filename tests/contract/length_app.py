"""An app whose answers are not as long as they say, or have a body that they may not have."""

from typing import Any

LENGTHS = {"/short": [b"10"], "/long": [b"2"], "/bad": [b"x"], "/twice": [b"3", b"4"], "/right": [b"3"], "/none": []}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    path = scope["path"].removeprefix("/own")
    status = int(path[1:]) if path[1:].isdigit() else 200
    lengths = [b"3"] if status != 200 else LENGTHS[path]
    headers = [(b"content-type", b"text/plain"), *[(b"content-length", value) for value in lengths]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"abc"})
