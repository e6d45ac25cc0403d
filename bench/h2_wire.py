"""A raw HTTP/2 client on a blocking socket: frames written by hand, one stream at a time.

So light that a gateway can be measured through it, and able to do what no library does: open a connection
and leave it. It sends header fields as literals and reads none: whether an answer is right must show in its
data. Must never be pointed off loopback.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4
_DEFAULT_WINDOW = 65535
_LARGEST_WINDOW = 2**31 - 1
_LARGEST_FRAME = 16384
_SECONDS = 60.0

Fields = Sequence[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113 4.1)."""
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def frames(data: bytearray) -> Iterable[tuple[int, int, int, bytes]]:
    """Takes the whole frames off the front of what was received: kind, flags, stream, payload."""
    at = 0
    while len(data) - at >= 9:
        head, flags, stream = struct.unpack_from(">IBI", data, at)
        end = at + 9 + (head >> 8)
        if len(data) < end:
            break
        yield head & 0xFF, flags, stream, bytes(data[at + 9 : end])
        at = end
    del data[:at]


def header_block(fields: Fields) -> bytes:
    """Every field as a literal that is not indexed, without Huffman codes (RFC 7541 6.2.2)."""
    block = bytearray()
    for name, value in fields:
        block.append(0)
        for text in (name.encode(), value.encode()):
            if len(text) > 126:
                raise ValueError(f"too long for a length of one byte: {text!r}")
            block.append(len(text))
            block += text
    return bytes(block)


def grpc_fields(target: str, method: str) -> Fields:
    """The header fields of an RPC."""
    path = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", target)]
    return [*path, ("content-type", "application/grpc"), ("te", "trailers")]


def grpc_frame(message: bytes) -> bytes:
    """A message behind its length, as it lies in DATA frames."""
    return struct.pack(">BI", 0, len(message)) + message


class Connection:
    """A connection on which the settings have been exchanged. Raises ConnectionError when the peer ends it."""

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._stream = -1
        self._answer: list[bytes] = []
        self._window = self._stream_window = self._first_window = _DEFAULT_WINDOW
        self._acknowledged = self._greeted = self._answered_ping = False
        self.ended = True
        # The answers are read at once, so the peer never has to wait for a window.
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW)
        opening = frame(SETTINGS, 0, 0, settings)
        opening += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW))
        self._socket.sendall(PREFACE + opening)
        while not (self._greeted and self._acknowledged):
            self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes without a word."""
        self._socket.close()

    def ping(self) -> None:
        """Returns when the peer has answered a PING."""
        self._answered_ping = False
        self._socket.sendall(frame(PING, 0, 0, b"batchwir"))
        while not self._answered_ping:
            self._receive()

    def request(self, fields: Fields) -> None:
        """Opens the next stream; the one before must have ended."""
        self._stream += 2
        self._stream_window = self._first_window
        self.ended = False
        self._socket.sendall(frame(HEADERS, END_HEADERS, self._stream, header_block(fields)))

    def write(self, *pieces: bytes, end: bool = False) -> None:
        """Sends each piece in a DATA frame of its own, as the peer's windows allow; end: nothing follows."""
        out = bytearray()
        for piece in pieces:
            if len(piece) > _LARGEST_FRAME:
                raise ValueError(f"a piece of {len(piece)} bytes is larger than a frame")
            if min(self._window, self._stream_window) < len(piece):
                self._socket.sendall(out)
                out.clear()
                while min(self._window, self._stream_window) < len(piece):
                    self._receive()
            self._window -= len(piece)
            self._stream_window -= len(piece)
            out += frame(DATA, 0, self._stream, piece)
        if end:
            out += frame(DATA, END_STREAM, self._stream)
        self._socket.sendall(out)

    def read(self) -> bytes:
        """What has come of the answer, at least a byte; nothing when it has ended."""
        while not self._answer and not self.ended:
            self._receive()
        data = b"".join(self._answer)
        self._answer.clear()
        return data

    def _receive(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the peer closed the connection")
        self._received += data
        for kind, flags, stream, payload in frames(self._received):
            if kind == DATA:
                self._answer.append(payload)
            elif kind == SETTINGS:
                self._settings(flags, payload)
            elif kind == PING:
                self._answered_ping |= flags & ACK == ACK
                if not flags & ACK:
                    self._socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == WINDOW_UPDATE:
                more = struct.unpack(">I", payload)[0] & _LARGEST_WINDOW
                if stream == 0:
                    self._window += more
                elif stream == self._stream:
                    self._stream_window += more
            elif kind in (RST_STREAM, GOAWAY):
                raise ConnectionError(f"the peer sent frame type {kind}: {payload!r}")
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                self.ended = True

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            self._acknowledged = True
            return
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._first_window
                self._first_window = value
        self._greeted = True
        self._socket.sendall(frame(SETTINGS, ACK, 0))
