"""Two ways to write lines to a descriptor without making anybody wait for it (OP-01).

PromptWriter writes what the descriptor takes at once and comes back for the rest; it needs a pipe, a terminal, a socket
or a null device. ThreadWriter leaves any other descriptor, such as a file on a slow disk, to a thread of its own. A
process without a second thread is faster: the C library and the kernel then lock nothing around each system call, which
is 3 % of the cost of a call.
"""

import abc
import asyncio
import contextlib
import errno
import io
import os
import queue
import select
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

GATHER_SECONDS = 0.02
"""What can wait travels together."""
_ATOMIC_BYTES = 4096
"""What one write to a pipe keeps together (PIPE_BUF), so that lines of several processes do not mix."""
_OVERHEAD = 64
"""Bytes that a piece in a queue takes beside its own."""
_WRITES = 64
"""Writes in one turn of the loop."""


class Writer(abc.ABC):
    """held: bytes that wait to be written. lost: lines that could not be."""

    held = 0
    lost = 0

    @abc.abstractmethod
    def put(self, data: bytes, can_wait: bool = False) -> None:
        """Takes whole lines, or a piece of a long one; does not wait. One thread at a time.

        can_wait: it may be the loop that writes it, GATHER_SECONDS later, with what has come until then. What is said
        about the process must not: a loop that hangs writes nothing.
        """

    @abc.abstractmethod
    def wait_written(self, seconds: float) -> bool:
        """Waits until all is written that was put before, at most so long."""

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:  # noqa: B027 - a thread needs no loop
        """The loop that is to write from now on; None: none runs any more. Called in its thread."""

    def close(self) -> None:  # noqa: B027 - a thread ends with the process
        """Gives back what it has opened itself."""

    def _lose(self, data: bytes | bytearray) -> None:
        # A full disk, a reader or terminal that is gone: the gateway goes on without its logs.
        self.lost += data.count(b"\n") or 1


def writer_to(fd: int) -> Writer:
    prompt = _prompt(fd)
    return ThreadWriter(fd) if prompt is None else PromptWriter(*prompt)


def _prompt(fd: int) -> tuple[Callable[[bytes | bytearray], int], int, int | None] | None:
    """(function that writes and raises BlockingIOError at once, its descriptor, what is to be closed), or None."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISSOCK(kind):
        duplicate = os.dup(fd)
        try:
            carrier = socket.socket(fileno=duplicate)
        except OSError:
            os.close(duplicate)
            return None
        return lambda data: carrier.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), fd, None
    if stat.S_ISCHR(kind) and os.fstat(fd).st_rdev == _null_device():
        return lambda data: os.write(fd, data), fd, None
    if stat.S_ISFIFO(kind) or os.isatty(fd):
        # Opened anew, because O_NONBLOCK of the one that we were given is everybody's who shares it.
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # no /proc, or it belongs to another user
            return None
        return lambda data: os.write(own, data), own, own
    return None


def _null_device() -> int:
    try:
        return os.stat(os.devnull).st_rdev
    except OSError:
        return -1


class PromptWriter(Writer):
    """send: writes to fd what it takes at once, and raises BlockingIOError where that is nothing."""

    def __init__(self, send: Callable[[bytes | bytearray], int], fd: int, own: int | None) -> None:
        self._send = send
        self._fd = fd
        self._own = own
        # A finaliser or the handler of a signal may write in the middle of a write, and a thread that ends the
        # process writes the last lines.
        self._lock = threading.RLock()
        self._writing = False
        self._lines: deque[bytearray] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._due = False  # the loop is going to write

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._due = False

    def close(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def put(self, data: bytes, can_wait: bool = False) -> None:
        with self._lock:
            self.held += len(data)
            # What one write keeps together is one piece, and so small lines cost little more than their bytes.
            if len(self._lines) > self._writing and len(self._lines[-1]) + len(data) <= _ATOMIC_BYTES:
                self._lines[-1] += data
            else:
                self._lines.append(bytearray(data))
            if not can_wait or self._loop is None:
                self._write()
            if self._lines and not self._due and self._loop is not None:
                self._come_back(self._loop)

    def wait_written(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while True:
            with self._lock:
                while self._write():
                    pass
                if not self._lines:
                    return True
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return False

    def _come_back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = True
        with contextlib.suppress(RuntimeError):  # closed: whoever writes next writes all
            if threading.get_ident() == self._thread:
                loop.call_later(GATHER_SECONDS, self._on_time)
            else:
                loop.call_soon_threadsafe(self._on_time)

    def _on_time(self) -> None:
        with self._lock:
            self._due = False
            self._write()
            if self._lines and self._loop is not None:
                self._come_back(self._loop)

    def _write(self) -> bool:
        """Writes what there is room for; whether it stopped for another reason than that."""
        if self._writing:
            return False
        self._writing = True
        try:
            for _ in range(_WRITES):
                if not self._lines:
                    return False
                data = self._lines[0]
                try:
                    sent = self._send(data)
                except BlockingIOError:
                    return False
                except OSError as error:
                    if error.errno == errno.ENOBUFS:
                        return False
                    self._lose(data)
                    sent = len(data)
                self.held -= sent
                if sent < len(data):
                    del data[:sent]
                else:
                    self._lines.popleft()
            return True
        finally:
            self._writing = False


class ThreadWriter(Writer):
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._file = io.FileIO(fd, "w", closefd=False)
        self._lines: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._put = 0  # bytes ever put into the queue
        self._taken = 0  # of them, what the thread is done with
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    @property
    def held(self) -> int:  # type: ignore[override]
        return self._put - self._taken

    def put(self, data: bytes, can_wait: bool = False) -> None:
        self._put += len(data) + _OVERHEAD
        self._lines.put(data)

    def wait_written(self, seconds: float) -> bool:
        reached = threading.Event()
        self._lines.put(reached)
        return reached.wait(seconds)

    # --- the thread

    def _write_on(self) -> None:
        while True:
            held: list[bytes] = []
            size = 0
            waited: list[bytes | threading.Event] = [self._lines.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    waited.append(self._lines.get_nowait())
            for item in waited:
                if isinstance(item, bytes) and size + len(item) <= _ATOMIC_BYTES:
                    held.append(item)
                    size += len(item)
                    continue
                self._write(b"".join(held))
                held, size = [], 0
                if isinstance(item, bytes):
                    held, size = [item], len(item)
                else:
                    item.set()
            self._write(b"".join(held))
            self._taken += _OVERHEAD * sum(isinstance(item, bytes) for item in waited)
            time.sleep(GATHER_SECONDS)

    def _write(self, data: bytes) -> None:
        left = data
        while left:
            try:
                left = left[self._file.write(left) or 0 :]
            except OSError:
                self._lose(left)
                break
            if left:
                # Somebody who shares it has made it non-blocking.
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll(1000)
        self._taken += len(data)
