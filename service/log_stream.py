"""Standard error that never blocks who writes to it (OP-01).

Whoever reads our logs may stop (a full pipe, a stopped terminal), and a write would then stop the loop and everything
in it. So lines wait in memory, within a bound, for a thread that writes them; what finds no room is dropped, and
counted.
Must never be waited for but by flush(), which has a bound.
"""

import contextlib
import errno
import io
import queue
import select
import threading
import time

HELD_BYTES = 4 << 20
GATHER_SECONDS = 0.02
"""What is written meanwhile travels together: a thread that is woken up for each line costs the loop its turn."""
_ATOMIC_BYTES = 4096
"""What one write to a pipe keeps together (PIPE_BUF), so that lines of several processes do not mix."""


class LogStream(io.TextIOBase):
    """fd: where whole lines go; negative: nowhere."""

    def __init__(self, fd: int, terminal: bool = False, held_bytes: int = HELD_BYTES) -> None:
        self._fd = fd
        self._file = io.FileIO(fd, "w", closefd=False) if fd >= 0 else None
        self._terminal = terminal
        self._bound = held_bytes
        self._lines: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        # A signal's handler or a finaliser may write in the middle of a write.
        self._lock = threading.RLock()
        self._part = ""
        self._put = 0  # bytes ever put into the queue
        self._taken = 0  # of them, what the thread is done with
        self._dropped = 0
        self._lost = 0  # dropped by the thread, because they could not be written
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far."""
        return self._dropped + self._lost

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        if self._fd < 0:
            raise OSError(errno.EBADF, "standard error is closed")
        return self._fd

    def write(self, text: str) -> int:
        with self._lock:
            whole = self._part + text if self._part else text
            cut = len(whole) if whole.endswith("\n") or len(whole) > _ATOMIC_BYTES else whole.rfind("\n") + 1
            self._part = whole[cut:]
            if cut:
                self._hold(whole[:cut])
        return len(text)

    def flush(self) -> None:
        """Hands on a line that has no end yet; does not wait."""
        with self._lock:
            if self._part:
                part, self._part = self._part, ""
                self._hold(part)

    def wait_written(self, seconds: float) -> bool:
        """Waits until all is written that was before, at most so long."""
        self.flush()
        reached = threading.Event()
        self._lines.put(reached)
        return reached.wait(seconds)

    def _hold(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        if self._fd < 0 or self._put - self._taken + len(data) > self._bound:
            self._dropped += text.count("\n") or 1
            return
        self._put += len(data)
        self._lines.put(data)

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
            time.sleep(GATHER_SECONDS)

    def _write(self, data: bytes) -> None:
        left = data
        while left and self._file is not None:
            try:
                left = left[self._file.write(left) or 0 :]
            except OSError:
                # A full disk, a reader or terminal that is gone: the gateway goes on without its logs.
                self._lost += left.count(b"\n") or 1
                break
            if left:
                # Somebody who shares it has made it non-blocking.
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll(1000)
        self._taken += len(data)
