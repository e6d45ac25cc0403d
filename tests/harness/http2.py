"""A raw HTTP/2 client: frames by hand, so that it sends what a proper client library refuses to send.

Answers are read frame by frame, header fields with the `hpack` package. Must never acknowledge settings, answer a
ping or open a window by itself: a test that wants it done says so.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20
FRAME_HEAD = 9
WINDOW = 65535
"""Of a stream and of the connection, before anybody has said anything else."""

Field = tuple[str, str]


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    """RFC 9113 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


# --- frames


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame; `length` lies about the payload."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values: dict[int, int] | None = None, flags: int = 0) -> bytes:
    payload = b"".join(struct.pack(">HI", key, value) for key, value in (values or {}).items())
    return frame(Kind.SETTINGS, flags, 0, payload)


def ping(payload: bytes = b"01234567", flags: int = 0) -> bytes:
    return frame(Kind.PING, flags, 0, payload)


def window_update(stream: int, increment: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst_stream(stream: int, code: int = Code.CANCEL) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last: int = 0, code: int = Code.NO_ERROR, debug: bytes = b"") -> bytes:
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def priority(stream: int, depends_on: int = 0, weight: int = 15) -> bytes:
    return frame(Kind.PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


def data(stream: int, payload: bytes = b"", end: bool = False) -> bytes:
    return frame(Kind.DATA, END_STREAM if end else 0, stream, payload)


def headers(stream: int, fields: Iterable[Field], end: bool = True) -> bytes:
    """A whole header section in one frame."""
    return frame(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


# --- header sections (RFC 7541), written without state so that any frame may be left out or sent twice


def integer(value: int, bits: int, first: int) -> bytes:
    """RFC 7541 5.1; first: what stands above the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def literal(name: str, value: str, first: int = 0x10) -> bytes:
    """A field by its letters, by default never indexed (RFC 7541 6.2); first: 0x40 enters it in the dynamic table."""
    raw_name, raw_value = name.encode("latin-1"), value.encode("latin-1")
    return bytes([first]) + integer(len(raw_name), 7, 0) + raw_name + integer(len(raw_value), 7, 0) + raw_value


def indexed(index: int) -> bytes:
    """A field by its number in the tables; 62 is the newest of the dynamic one."""
    return integer(index, 7, 0x80)


def block(fields: Iterable[Field]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def request(method: str = "GET", path: str = "/healthz", *more: Field) -> list[Field]:
    """The fields of a request."""
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "gw.example"), *more]


def grpc_request(method: str, *more: Field) -> list[Field]:
    """The fields of a call of BatchService."""
    path = f"/batchwire.v1.BatchService/{method}"
    return request("POST", path, ("content-type", "application/grpc"), ("te", "trailers"), *more)


def message(payload: bytes, flag: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return struct.pack(">BI", flag, len(payload)) + payload


# --- what comes back


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends_stream(self) -> bool:
        return self.kind in (Kind.DATA, Kind.HEADERS) and bool(self.flags & END_STREAM)

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == Kind.GOAWAY else 0
        return int(struct.unpack_from(">I", self.payload, at)[0])


@dataclass
class Answer:
    """Of one stream. `reset`: the code of its RST_STREAM."""

    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def grpc_status(self) -> int:
        return int((self.trailers or self.headers)["grpc-status"])

    @property
    def messages(self) -> list[bytes]:
        """The gRPC messages of the body, which must be whole."""
        found, rest = [], self.body
        while rest:
            flag, size = struct.unpack_from(">BI", rest)
            assert flag == 0, "a compressed message"
            assert len(rest) >= 5 + size, "half a message"
            found.append(rest[5 : 5 + size])
            rest = rest[5 + size :]
        return found


class Raw:
    """One connection. greet: preface and empty settings are sent at once. receive_buffer: of the socket."""

    def __init__(
        self,
        port: int,
        *,
        greet: bool = True,
        timeout: float = 20.0,
        receive_buffer: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(sock, server_hostname="localhost") if tls is not None else sock
        self.answers: dict[int, Answer] = {}
        self.goaways: list[Frame] = []
        self.timeout = timeout
        self._decoder = hpack.Decoder()
        self._decoder.max_allowed_table_size = 65536
        self._unread = b""
        if greet:
            self.send(PREFACE, settings())

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def read(self) -> Frame | None:
        """The next frame; None: the connection has ended. Raises TimeoutError."""
        while True:
            if len(self._unread) >= FRAME_HEAD:
                end = FRAME_HEAD + int.from_bytes(self._unread[:3], "big")
                if len(self._unread) >= end:
                    kind, flags, stream = struct.unpack_from(">BBI", self._unread, 3)
                    found = Frame(kind, flags, stream & 0x7FFFFFFF, self._unread[FRAME_HEAD:end])
                    self._unread = self._unread[end:]
                    self._note(found)
                    return found
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self._unread += more

    def _note(self, found: Frame) -> None:
        answer = self.answers.setdefault(found.stream, Answer()) if found.stream else Answer()
        if found.kind == Kind.HEADERS:
            assert found.flags & END_HEADERS, "a header section of ours is short"
            fields = dict(self._decoder.decode(found.payload))
            if ":status" in fields:
                answer.headers = fields
            else:
                answer.trailers = fields
        elif found.kind == Kind.DATA:
            answer.body += found.payload
        elif found.kind == Kind.RST_STREAM:
            answer.reset = found.code
        elif found.kind == Kind.GOAWAY:
            self.goaways.append(found)
        answer.ended = answer.ended or found.ends_stream

    def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """Reads up to a frame that is wanted; the connection must not end before."""
        while (found := self.read()) is not None:
            if wanted(found):
                return found
        raise AssertionError(f"the connection ended, {self.said()}")

    def answer(self, stream: int) -> Answer:
        """Reads until the stream has ended."""
        while not self.over(stream):
            self.until(lambda found: found.stream == stream)
        return self.answers[stream]

    def over(self, stream: int) -> bool:
        answer = self.answers.get(stream)
        return answer is not None and (answer.ended or answer.reset is not None)

    def exchange(self, stream: int, fields: Iterable[Field], body: bytes | None = None) -> Answer:
        """A whole request and its answer."""
        if body is None:
            self.send(headers(stream, fields))
        else:
            pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
            sent = [data(stream, piece, end=at == len(pieces) - 1) for at, piece in enumerate(pieces)]
            self.send(headers(stream, fields, end=False), *sent)
        return self.answer(stream)

    def ping_pong(self, payload: bytes = b"ping-pon") -> None:
        """The gateway has seen all that was sent."""
        self.send(ping(payload))
        self.until(lambda found: found.kind == Kind.PING and bool(found.flags & ACK) and found.payload == payload)

    def drain(self) -> bool:
        """Reads what is there without waiting; False: the connection has ended."""
        self.socket.settimeout(0)
        try:
            while self.read() is not None:
                pass
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(self.timeout)

    def attack(self, pieces: Iterable[bytes]) -> int:
        """Sends the pieces while the gateway takes them, and reads what comes; how many were sent."""
        sent = 0
        for piece in pieces:
            try:
                self.send(piece)
            except ConnectionError:
                break
            sent += 1
            if not self.drain():
                break
        return sent

    def ending(self) -> int | None:
        """Reads to the end of the connection, which must come; the code of its last GOAWAY, None: there was none."""
        with contextlib.suppress(TimeoutError):
            while self.read() is not None:
                pass
            return self.goaways[-1].code if self.goaways else None
        raise AssertionError(f"the connection was not ended within {self.timeout} s, {self.said()}")

    def said(self) -> str:
        """What has come, for messages."""
        ends = [(stream, answer.reset) for stream, answer in self.answers.items() if answer.reset is not None]
        return f"goaway {[(f.code, f.payload[8:]) for f in self.goaways]}, resets {ends[:5]}"


def in_pieces(frames: Iterable[bytes], size: int = 100) -> Iterator[bytes]:
    """`size` frames at a time in one write."""
    gathered: list[bytes] = []
    for one in frames:
        gathered.append(one)
        if len(gathered) == size:
            yield b"".join(gathered)
            gathered.clear()
    if gathered:
        yield b"".join(gathered)
