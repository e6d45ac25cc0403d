"""An HTTP/2 client on a raw socket, on the h2 library: it can send what a proper client refuses to send.

What comes back is checked by h2, which is strict: an answer against RFC 9113 raises `h2.exceptions.ProtocolError`. Must
never retry or follow anything by itself, nor wait without a bound.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import Frame, GoAwayFrame

from .rest import PUBLIC_HOST

Fields = list[tuple[str, str]]
REFUSED_STREAM, CANCEL, NO_ERROR, INTERNAL_ERROR, CALM = 7, 8, 0, 2, 11
"""Error codes of RFC 9113 7."""
LONG = 15.0


def request(method: str, path: str, fields: Iterable[tuple[str, str]] = (), **pseudo: str) -> Fields:
    """The header fields of a request; `pseudo` replaces pseudo headers by their names without the colon."""
    top = {"method": method, "scheme": "http", "path": path, "authority": PUBLIC_HOST, **pseudo}
    return [*((f":{name}", value) for name, value in top.items()), *fields]


@dataclass
class Heard:
    """What came on one stream. Values are Latin-1."""

    informational: list[Fields] = field(default_factory=list)
    headers: Fields = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    ended_with_head: bool = False

    @property
    def status(self) -> int:
        return int(dict(self.headers)[":status"])

    def header(self, name: str) -> str | None:
        """A field of the head; several are joined."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


class _Connection(h2.connection.H2Connection):
    """h2's connection ends with GOAWAY; in truth streams that run go on, and this client may misbehave further."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        said = h2.events.ConnectionTerminated()
        said.error_code = frame.error_code
        said.last_stream_id = frame.last_stream_id
        said.additional_data = frame.additional_data or None
        return [], [said]


class Http2Wire:
    """One connection. address: a port of this machine, "host:port" of it, or "unix:/path".

    open_window: give room for what has come, else the answer stops when the window is full. settings: of this client,
    by h2's codes.
    """

    def __init__(
        self,
        address: int | str,
        *,
        tls: ssl.SSLContext | None = None,
        open_window: bool = True,
        settings: dict[int, int] | None = None,
        receive_buffer: int = 0,
    ) -> None:
        self.heard: dict[int, Heard] = {}
        self.goaways: list[h2.events.ConnectionTerminated] = []
        self.pongs: list[bytes] = []
        self.acknowledged = False
        self.closed = False
        self.open_window = open_window
        path = str(address).removeprefix("unix:") if str(address).startswith("unix:") else ""
        self.socket: socket.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LONG)
        if path:
            self.socket.connect(path)
        else:
            self.socket.connect(("127.0.0.1", int(str(address).rpartition(":")[2])))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.h2 = _Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Http2Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # --- out

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def send_frame(self, frame: Frame) -> None:
        """A frame as it is, past all that h2 knows of the connection."""
        self.flush()
        self.socket.sendall(frame.serialize())

    def open(self, fields: Fields, *, end: bool = False, flush: bool = True) -> int:
        """Sends the head of a request; the stream's id."""
        stream = self.h2.get_next_available_stream_id()
        self.heard[stream] = Heard()
        self.h2.send_headers(stream, fields, end_stream=end)
        if flush:
            self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False, padding: int | None = None) -> None:
        """Sends data as one frame where it fits; waits for the windows otherwise."""
        spare = 0 if padding is None else padding + 1
        while len(data) + spare > self.room(stream):
            room = self.room(stream) - spare
            if room > 0:
                self.h2.send_data(stream, data[:room], pad_length=padding)
                data = data[room:]
                self.flush()
            else:
                self.wait(lambda: self.room(stream) - spare > 0, "room to send")
        self.h2.send_data(stream, data, end_stream=end, pad_length=padding)
        self.flush()

    def room(self, stream: int) -> int:
        """Bytes that may be sent now in one frame."""
        return int(min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size))

    def end(self, stream: int, trailers: Fields | None = None) -> None:
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        else:
            self.h2.end_stream(stream)
        self.flush()

    def reset(self, stream: int, code: int = CANCEL) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    def ping(self, payload: bytes = b"12345678") -> None:
        self.h2.ping(payload)
        self.flush()

    # --- in

    def start_queued(self, timeout: float = LONG) -> None:
        """Takes what comes next. Raises TimeoutError."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self._note(event)
        self.flush_quietly()

    def flush_quietly(self) -> None:
        """Acknowledgements to somebody who may be gone."""
        try:
            self.flush()
        except (ConnectionError, ssl.SSLError):
            self.closed = True

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = LONG) -> None:
        """Takes what comes until the condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            assert not self.closed, f"the connection ended before: {what}; {self.goaways}"
            left = end - time.monotonic()
            try:
                self.start_queued(max(left, 0.001))
            except TimeoutError:
                raise AssertionError(f"waited {timeout} s in vain for: {what}; {self.heard}"[:2000]) from None

    def wait_closed(self, timeout: float = LONG) -> None:
        """Takes what comes until the gateway has closed the connection."""
        end = time.monotonic() + timeout
        while not self.closed:
            self.start_queued(max(end - time.monotonic(), 0.001))

    def listen(self, seconds: float) -> None:
        """Takes what comes for some time."""
        end = time.monotonic() + seconds
        while not self.closed and (left := end - time.monotonic()) > 0:
            try:
                self.start_queued(left)
            except TimeoutError:
                return

    def answer(self, stream: int, timeout: float = LONG) -> Heard:
        """The whole of what a stream says, to its end or reset."""
        heard = self.heard[stream]
        self.wait(lambda: heard.ended or heard.reset is not None, f"the end of stream {stream}", timeout)
        return heard

    def ask(self, fields: Fields, data: bytes | None = None) -> Heard:
        """One whole request."""
        stream = self.open(fields, end=data is None)
        if data is not None:
            self.send(stream, data, end=True)
        return self.answer(stream)

    def _note(self, event: Any) -> None:
        heard = self.heard.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(event)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.acknowledged = True
        elif heard is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            heard.informational.append(_text(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            heard.headers = _text(event.headers)
            heard.ended_with_head = event.stream_ended is not None
        elif isinstance(event, h2.events.TrailersReceived):
            heard.trailers = _text(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            heard.data += event.data
            if self.open_window:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            heard.ended = True
        elif isinstance(event, h2.events.StreamReset):
            heard.reset = int(event.error_code)


def _text(fields: Any) -> Fields:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
