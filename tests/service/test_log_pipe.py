"""Standard error that nobody reads, that is full or gone: the gateway goes on, and says how much it could not say."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from batchwire.service.log_stream import LogStream
from batchwire.service.log_writers import PromptWriter, ThreadWriter, Writer, writer_to
from harness import config, rest
from harness.gateway import Gateway
from hypothesis import given, settings
from hypothesis import strategies as st

PIPE_BYTES = 4096


@pytest.fixture(params=[writer_to, ThreadWriter], ids=["prompt", "thread"])
def make(request: pytest.FixtureRequest) -> Callable[[int], Writer]:
    """Both ways to write to a pipe."""
    return request.param  # type: ignore[no-any-return]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


class Unread(Gateway):
    """A gateway whose log is read until it listens, and not any more."""

    def __init__(self, settings_: config.Config, folder: Path) -> None:
        super().__init__(settings_, folder)
        self.enough = threading.Event()

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        listeners = 0
        while listeners < 2 and (line := self.process.stdout.readline()):
            self._lines.append(line.rstrip("\n"))
            listeners += '"listening"' in line
        self.enough.wait()
        for line in self.process.stdout:
            self._lines.append(line.rstrip("\n"))


@pytest.fixture
def unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unread]:
    monkeypatch.chdir(Path(__file__).parent)
    upstreams = {"noisy": {"app": "noisy_app:app"}}
    routes = [{"root": "/svc/", "upstream": "noisy", "default": True}]
    gateway = Unread(config.make(upstreams, routes), tmp_path)
    try:
        with gateway:
            yield gateway
    finally:
        gateway.enough.set()


def test_OP_01_batches_go_on_while_nobody_reads_the_log(unread: Unread) -> None:
    with rest.Wire(unread.http_port) as wire:
        body = rest.encode({"requests": [rest.get_call("1", "none/0")]})
        head = f"POST /svc/$batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        for _ in range(300):
            wire.expect("POST")
            wire.send(f"{head}\r\n\r\n".encode() + body)
            assert wire.answer().responses[0]["status"] == 200
    assert unread.metrics()["batchwire_log_lines_dropped_total"] == 0
    unread.stop()


@pytest.mark.parametrize("how", ["print", "logging", "warnings", "structlog", "loop"])
def test_OP_01_what_finds_no_room_is_counted_whoever_says_it(how: str, unread: Unread) -> None:
    document = {"requests": [rest.get_call("1", f"{how}/6000")]}
    assert rest.post(unread.http_port, document).responses[0]["status"] == 200
    dropped = unread.metrics()["batchwire_log_lines_dropped_total"]
    assert 1000 < dropped < 6100 * 2  # a warning has a second line
    unread.enough.set()
    unread.wait(lambda: len(unread.logs()) > 3000, "the lines that had found room")
    unread.stop()
    assert all(line.startswith("{") for line in unread._lines) or how in ("print", "warnings")


def test_OP_01_sigterm_ends_a_gateway_whose_log_nobody_reads(unread: Unread) -> None:
    document = {"requests": [rest.get_call("1", "print/6000")]}
    assert rest.post(unread.http_port, document).responses[0]["status"] == 200
    unread.terminate()
    assert unread.process.wait(10) == 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_OP_01_a_full_disk_under_the_log_ends_nothing(sent: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    words = [sys.executable, "-m", "batchwire.service", "demo", "--http", f"unix:{path}", "--grpc", ""]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(words, stderr=full) as process:
        try:
            gateway = Gateway.__new__(Gateway)
            gateway.tls, gateway.http_address, gateway.http_port, gateway._lines = None, f"unix:{path}", 0, []
            gateway.wait(gateway.ready, "/readyz 200")
            assert gateway.metrics()["batchwire_log_lines_dropped_total"] >= 1
            process.send_signal(sent)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_OP_01_a_closed_standard_error_is_nobody_elses_descriptor() -> None:
    say = (
        "import os, sys, structlog; os.close(2); sys.stderr = None; other = os.open('/dev/null', os.O_RDWR); "
        "from batchwire.service import logs; logs.set_up('json', 'info'); structlog.get_logger().info('up'); "
        "print(other, logs.lines_dropped())"
    )
    made = subprocess.run([sys.executable, "-c", say], stdout=subprocess.PIPE, check=True, text=True)
    assert made.stdout == "2 1\n"


def test_OP_01_lines_stay_whole_and_in_order_and_what_is_missing_is_counted(make: Callable[[int], Writer]) -> None:
    with pipe() as (ours, theirs):
        stream = LogStream(theirs, held_bytes=10_000, make=make)
        for number in range(2000):
            stream.write(json.dumps({"number": number, "more": "é" * 20}) + "\n")
        assert stream.dropped > 0
        got = b""
        while got.count(b"\n") + stream.dropped < 2000:
            stream.wait_written(0.01)
            got += os.read(ours, 65536)
        numbers = [json.loads(line)["number"] for line in got.splitlines()]
        assert numbers == sorted(set(numbers))
        assert len(numbers) + stream.dropped == 2000


def test_OP_01_the_end_waits_within_a_bound(make: Callable[[int], Writer]) -> None:
    with pipe() as (ours, theirs):
        stream = LogStream(theirs, make=make)
        stream.write("x" * 3 * PIPE_BYTES + "\n")
        assert not stream.wait_written(0.05)
        os.set_blocking(ours, False)
        while not stream.wait_written(0.01):
            with contextlib.suppress(BlockingIOError):
                os.read(ours, PIPE_BYTES)


def test_OP_01_a_pipe_that_somebody_made_non_blocking_loses_nothing(make: Callable[[int], Writer]) -> None:
    with pipe() as (ours, theirs):
        os.set_blocking(theirs, False)
        stream = LogStream(theirs, make=make)
        text = "".join(f"{number}\n" for number in range(5000))
        stream.write(text)
        got = b""
        while len(got) < len(text):
            stream.wait_written(0.01)
            got += os.read(ours, PIPE_BYTES)
        assert (got.decode(), stream.dropped) == (text, 0)


@pytest.mark.parametrize("make", [writer_to, ThreadWriter], ids=["prompt", "thread"])
@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["\n", "a\nb"]), max_size=30))
def test_OP_01_pieces_come_out_as_they_were_put_in(make: Callable[[int], Writer], pieces: list[str]) -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as reader:
        stream = LogStream(theirs, make=make)
        for piece in pieces:
            assert stream.write(piece) == len(piece)
        assert stream.wait_written(10)
        stream.close()
        os.close(theirs)
        assert reader.read().decode() == "".join(pieces)


def kinds(folder: Path) -> Iterator[tuple[str, int]]:
    """One descriptor of each kind that standard error may be, with what is at its other end kept open."""
    ours, theirs = os.pipe()
    yield "pipe", theirs
    os.close(ours)
    near, far = socket.socketpair()
    yield "socket", near.fileno()
    far.close()
    ours, theirs = os.openpty()
    yield "terminal", theirs
    os.close(ours)
    with open(os.devnull, "wb") as null:
        yield "null", null.fileno()
    with (folder / "log").open("wb") as file:
        yield "file", file.fileno()


def test_OP_01_only_a_file_needs_a_thread(tmp_path: Path) -> None:
    found = {}
    for kind, fd in kinds(tmp_path):
        writer = writer_to(fd)
        found[kind] = type(writer) is PromptWriter
        writer.put(b"a line\n")
        assert writer.wait_written(10)
        assert (writer.held, writer.lost) == (0, 0)
        writer.close()
    assert found == {"pipe": True, "socket": True, "terminal": True, "null": True, "file": False}


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_OP_01_a_reader_that_stops_holds_nobody_up(kind: str, tmp_path: Path) -> None:
    made = kinds(tmp_path)
    fd = next(fd for name, fd in made if name == kind)
    stream = LogStream(fd, held_bytes=1 << 20)
    for _ in range(40):
        stream.write("x" * 49_999 + "\n")
    assert not stream.wait_written(0.05)
    assert 0 < stream.dropped <= 40
    stream.close()
    made.close()


def test_OP_01_what_can_wait_is_written_by_the_loop_and_before_what_comes_behind() -> None:
    async def said() -> list[bytes]:
        got = []
        with pipe() as (ours, theirs):
            os.set_blocking(ours, False)
            stream = LogStream(theirs)
            stream.attach(asyncio.get_running_loop())
            stream.write_line(b"1\n")
            stream.write_line(b"2\n")
            with pytest.raises(BlockingIOError):
                os.read(ours, 100)
            stream.write("3\n")
            got.append(os.read(ours, 100))
            stream.write_line(b"4\n")
            while len(got) < 2:
                await asyncio.sleep(0.01)
                with contextlib.suppress(BlockingIOError):
                    got.append(os.read(ours, 100))
            stream.close()
        return got

    assert asyncio.run(said()) == [b"1\n2\n3\n", b"4\n"]


def test_OP_01_a_full_pipe_is_written_to_again_by_the_loop() -> None:
    async def read_all(text: str) -> bytes:
        got = b""
        with pipe() as (ours, theirs):
            os.set_blocking(ours, False)
            stream = LogStream(theirs)
            stream.attach(asyncio.get_running_loop())
            await asyncio.to_thread(stream.write, text)
            while len(got) < len(text):
                with contextlib.suppress(BlockingIOError):
                    got += os.read(ours, PIPE_BYTES)
                await asyncio.sleep(0.001)
            stream.close()
        return got

    text = "".join(f"{number}\n" for number in range(5000))
    assert asyncio.run(read_all(text)).decode() == text


def test_OP_01_a_gateway_that_writes_to_a_pipe_has_one_thread(unread: Unread) -> None:
    document = {"requests": [rest.get_call("1", "none/0")]}
    assert rest.post(unread.http_port, document).responses[0]["status"] == 200
    assert psutil.Process(unread.process.pid).num_threads() == 1
    unread.stop()


@pytest.mark.parametrize("make", [writer_to, ThreadWriter], ids=["prompt", "thread"])
def test_OP_01_many_small_lines_hold_no_more_memory_than_few_large_ones(make: Callable[[int], Writer]) -> None:
    with pipe() as (_, theirs):
        stream = LogStream(theirs, held_bytes=150_000, make=make)
        tracemalloc.start()
        try:
            for _ in range(100_000):
                stream.write(".\n")
            assert tracemalloc.get_traced_memory()[0] < 400_000
        finally:
            tracemalloc.stop()
        assert stream.dropped > 0
        stream.close()
