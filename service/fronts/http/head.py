"""The head of a request, as everything that answers one over HTTP sees it, and the answer that is there at once.

Must never look at a body.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from batchwire.core.front.stream import Stream

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Head:
    """Of a request.

    path: as it is spelled. headers: names in lower case, with one Host. client: its address and port, the port 0 where
    a proxy has told it; None behind a UNIX socket. peer: the same for people. authority: what stands in for a Host
    field. told_host: what a trusted proxy says of it, or None.
    """

    method: str
    scheme: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    peer: str
    authority: str
    told_host: bytes | None = None

    @classmethod
    def of(cls, stream: "Stream") -> "Head":
        """That of a request as its connection says it."""
        raw_path, _, query = stream.path.partition(b"?")
        ends = stream.ends
        return cls(
            stream.method.decode("latin-1"),
            ends.scheme,
            raw_path.decode("latin-1"),
            query,
            header_fields(stream),
            ends.client,
            ends.peer,
            ends.authority,
        )

    @property
    def plain_path(self) -> str:
        """The path without escapes."""
        return unquote_to_bytes(self.path.encode("latin-1")).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered at once; headers are whole but for those of the connection."""

    status: int
    headers: Fields
    body: bytes = b""


def header_fields(request: "Stream") -> list[tuple[bytes, bytes]]:
    """Those of a request as HTTP/1.1 has them: one Host, one Cookie (RFC 9113 8.2.3, 8.3.1)."""
    said = request.headers
    if request.http_version != "2":
        return said
    for name, _ in said:
        if name == b"cookie" or name == b"host":
            break
    else:
        return [(b"host", request.authority), *said] if request.authority else said
    fields = [(name, value) for name, value in said if name not in (b"cookie", b"host")]
    host = request.authority or dict(said).get(b"host", b"")
    if host:
        fields.insert(0, (b"host", host))
    cookies = [value for name, value in said if name == b"cookie"]
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    return fields
