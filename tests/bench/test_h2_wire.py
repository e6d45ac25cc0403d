"""The raw HTTP/2 client of the benchmark, against a peer that says what the test tells it to."""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from bench import h2_wire
from bench.h2_wire import Connection, frame, frames

SETTINGS = frame(h2_wire.SETTINGS, 0, 0, struct.pack(">HI", 4, 10))
ACK = frame(h2_wire.SETTINGS, h2_wire.ACK, 0)

Incoming = Iterator[list[tuple[int, int, int, bytes]]]
"""What came: the frames of one read after another."""


class Peer:
    """A listening socket whose one connection is served by a function in a thread."""

    def __init__(self, serve: Callable[[socket.socket, Incoming], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._serve = serve
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(10)
            self._serve(connection, self._frames(connection))

    @staticmethod
    def _frames(connection: socket.socket) -> Incoming:
        received = bytearray()
        while len(received) < len(h2_wire.PREFACE):
            received += connection.recv(1000)
        assert received.startswith(h2_wire.PREFACE)
        del received[: len(h2_wire.PREFACE)]
        while True:
            yield list(frames(received))
            if not (data := connection.recv(1000)):
                return
            received += data

    def end(self) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    started: list[Peer] = []

    def start(serve: Callable[..., None]) -> Peer:
        started.append(Peer(serve))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_frames_are_read_in_any_split() -> None:
    sent = [(h2_wire.DATA, 1, 5, b"abc"), (h2_wire.PING, 0, 0, b"12345678"), (h2_wire.DATA, 0, 7, b"")]
    data = b"".join(frame(*each) for each in sent)
    for size in range(1, len(data) + 1):
        received, found = bytearray(), []
        for at in range(0, len(data), size):
            received += data[at : at + size]
            found += list(frames(received))
        assert found == sent
        assert not received


def test_frame_has_the_form_of_rfc_9113() -> None:
    assert frame(h2_wire.HEADERS, h2_wire.END_HEADERS, 3, b"xy") == b"\x00\x00\x02\x01\x04\x00\x00\x00\x03xy"


def test_a_field_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        h2_wire.header_block([("name", "v" * 127)])


def test_connection_waits_for_the_windows_of_its_peer(peer: Callable[..., Peer]) -> None:
    got: list[bytes] = []
    left: list[int] = []

    def serve(connection: socket.socket, incoming: Incoming) -> None:
        connection.sendall(SETTINGS + ACK)
        window = 10
        for read in incoming:
            for kind, flags, stream, payload in read:
                if kind != h2_wire.DATA:
                    continue
                got.append(payload)
                window -= len(payload)
                left.append(window)
                if flags & h2_wire.END_STREAM:
                    connection.sendall(frame(h2_wire.DATA, h2_wire.END_STREAM, stream, b"done"))
                    return
            # The window grows when all that was sent before has been counted.
            if window < 8 and not select.select([connection], [], [], 0.1)[0]:
                connection.sendall(frame(h2_wire.WINDOW_UPDATE, 0, 1, struct.pack(">I", 8)))
                window += 8

    with Connection(peer(serve).target) as connection:
        connection.request(h2_wire.grpc_fields("here", "/a/b"))
        connection.write(b"12345678", b"abcdefgh", end=True)
        assert connection.read() == b"done"
        assert connection.read() == b""
    assert got == [b"12345678", b"abcdefgh", b""]
    assert min(left) >= 0


def test_connection_answers_pings_and_sends_them(peer: Callable[..., Peer]) -> None:
    answered: list[bytes] = []

    def serve(connection: socket.socket, incoming: Incoming) -> None:
        connection.sendall(SETTINGS + frame(h2_wire.PING, 0, 0, b"question") + ACK)
        for kind, flags, _, payload in chain.from_iterable(incoming):
            if kind == h2_wire.PING and flags & h2_wire.ACK:
                answered.append(payload)
            elif kind == h2_wire.PING:
                connection.sendall(frame(h2_wire.PING, h2_wire.ACK, 0, payload))
                return

    with Connection(peer(serve).target) as connection:
        connection.ping()
    assert answered == [b"question"]


@pytest.mark.parametrize("last", [frame(h2_wire.GOAWAY, 0, 0, bytes(8)), b""], ids=["goaway", "closed"])
def test_a_peer_that_gives_up_is_an_error_and_no_hang(peer: Callable[..., Peer], last: bytes) -> None:
    def serve(connection: socket.socket, incoming: Incoming) -> None:
        connection.sendall(SETTINGS + ACK + last)
        for kind, _, _, _ in chain.from_iterable(incoming):
            if kind == h2_wire.HEADERS:
                return

    def use(target: str) -> None:
        with Connection(target) as connection:
            connection.request(h2_wire.grpc_fields("here", "/a/b"))
            connection.read()

    with pytest.raises(ConnectionError):
        use(peer(serve).target)
