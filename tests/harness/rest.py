"""A REST client on raw sockets: it can send what a proper client library refuses to send.

Answers are read with h11, which is strict: an answer that is cut off or ill-formed raises
`h11.RemoteProtocolError`. Must never retry or follow anything by itself.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

PUBLIC_HOST = "gw.example"
STRICT: dict[str, str] = {"OData-Version": "4.01", "OData-MaxVersion": "4.01"}
Fields = Mapping[str, str] | Iterable[tuple[str, str]]


def pairs(fields: Fields) -> list[tuple[str, str]]:
    return list(fields.items()) if isinstance(fields, Mapping) else list(fields)


@dataclass
class Answer:
    """An HTTP answer. Header names are lower-case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def responses(self) -> list[dict[str, Any]]:
        """The response objects; the answer must be a complete batch answer."""
        assert self.status == 200, f"{self.status}: {self.body[:2000]!r}"
        document = self.json()
        assert isinstance(document["responses"], list)
        return list(document["responses"])

    def by_id(self) -> dict[str, dict[str, Any]]:
        responses = self.responses
        found = {response["id"]: response for response in responses}
        assert len(found) == len(responses), f"an id came twice: {[r['id'] for r in responses]}"
        return found


class Wire:
    """One connection to the HTTP listener."""

    def __init__(
        self, port: int, timeout: float = 30.0, receive_buffer: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket: socket.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._parser = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def begin(self, method: str, target: str, fields: Fields = (), host: str | None = PUBLIC_HOST) -> None:
        """Sends a head exactly as given. The parser is told separately, so the head may be anything."""
        lines = [f"{method} {target} HTTP/1.1"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in pairs(fields)]
        self.expect(method)
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def expect(self, method: str) -> None:
        """Readies the parser for the answer to a request with this method."""
        if self._parser.our_state is h11.DONE:
            self._parser.start_next_cycle()
        self._parser.send(h11.Request(method=method, target="/", headers=[("Host", PUBLIC_HOST)]))
        self._parser.send(h11.EndOfMessage())

    def chunk(self, data: bytes) -> None:
        """One chunk of a request with Transfer-Encoding: chunked; b"" ends it."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def event(self) -> Any:
        """The next h11 event that is an answer's head, data or end."""
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                self._parser.receive_data(self.socket.recv(65536))
            elif not isinstance(event, h11.InformationalResponse):
                return event

    def head(self) -> Answer:
        event = self.event()
        assert isinstance(event, h11.Response), event
        return Answer(event.status_code, [(n.decode(), v.decode("latin-1")) for n, v in event.headers])

    def data(self) -> bytes:
        """The next piece of the answer's body; b"" at its end."""
        event = self.event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def answer(self) -> Answer:
        """Reads one whole answer."""
        answer = self.head()
        body = bytearray()
        while isinstance(event := self.event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        answer.body = bytes(body)
        answer.trailers = [(n.decode(), v.decode("latin-1")) for n, v in event.headers]
        return answer

    def remainder(self) -> tuple[bytes, bool]:
        """The rest of the answer's body, and whether it ended as a whole answer does."""
        body = bytearray()
        try:
            while piece := self.data():
                body += piece
        except (h11.RemoteProtocolError, ConnectionError):
            return bytes(body), False
        return bytes(body), True

    def closed(self) -> bool:
        """True when the gateway closes the connection without sending more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Closes with a TCP reset, as a client that dies does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(
    port: int,
    method: str,
    target: str,
    fields: Fields = (),
    body: bytes | None = None,
    host: str | None = PUBLIC_HOST,
) -> Answer:
    """One request on a connection of its own."""
    sent = pairs(fields)
    if body is not None:
        sent.append(("Content-Length", str(len(body))))
    with Wire(port) as wire:
        wire.begin(method, target, sent, host)
        if body:
            wire.send(body)
        return wire.answer()


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def post(
    port: int,
    document: Any,
    fields: Fields = (),
    *,
    root: str = "/svc/",
    query: str = "",
    version: Mapping[str, str] = STRICT,
) -> Answer:
    """Posts a batch document (bytes go as they are) to {root}$batch, by default under the strict profile."""
    given = pairs(fields)
    names = {name.lower() for name, _ in given}
    base = {"Content-Type": "application/json", **version}
    sent = [(name, value) for name, value in base.items() if name.lower() not in names] + given
    body = document if isinstance(document, bytes) else encode(document)
    return request(port, "POST", f"{root}$batch{query}", sent, body)


def get_call(name: str, url: str, **more: Any) -> dict[str, Any]:
    """A JSON request object of a GET; `more` are further members (`if_` stands for `if`)."""
    return {"id": name, "method": "get", "url": url, **{k.rstrip("_"): v for k, v in more.items()}}


def is_odata_error(value: Any) -> bool:
    """True for an OData error object whose code and message are non-empty strings (ER-01)."""
    if not isinstance(value, dict) or not isinstance(value.get("error"), dict):
        return False
    error = value["error"]
    return all(isinstance(error.get(key), str) and bool(error[key]) for key in ("code", "message"))
