class Stream:
    method: bytes
    path: bytes
    authority: bytes
    content_type: bytes
    http_version: str
    headers: list[tuple[bytes, bytes]]
    too_large: bool
    ended: bool

def http_date() -> bytes: ...
