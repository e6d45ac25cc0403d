from asyncio import AbstractEventLoop

class Ends:
    loop: AbstractEventLoop
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    peer: str
    scheme: str
    authority: str
    idle_seconds: float

class Stream:
    ends: Ends
    method: bytes
    path: bytes
    authority: bytes
    content_type: bytes
    http_version: str
    headers: list[tuple[bytes, bytes]]
    too_large: bool
    ended: bool

def http_date() -> bytes: ...
