"""Standard error that never blocks who writes to it (OP-01).

Whoever reads our logs may stop (a full pipe, a stopped terminal), and a write would then stop the loop and everything
in it. So lines wait in memory, within a bound, for a writer; what finds no room is dropped, and counted.
Must never be waited for but by wait_written(), which has a bound.
"""

import asyncio
import errno
import io
import threading
from collections.abc import Callable

from .log_writers import Writer, writer_to

HELD_BYTES = 4 << 20
_PART_CHARACTERS = 4096
"""A line that is longer goes out in pieces as it comes."""


class LogStream(io.TextIOBase):
    """fd: where whole lines go; negative: nowhere. make: for tests of one kind of writer."""

    def __init__(
        self,
        fd: int,
        terminal: bool = False,
        held_bytes: int = HELD_BYTES,
        make: Callable[[int], Writer] = writer_to,
    ) -> None:
        self._fd = fd
        self._writer: Writer | None = make(fd) if fd >= 0 else None
        self._terminal = terminal
        self._bound = held_bytes
        # A signal's handler or a finaliser may write in the middle of a write.
        self._lock = threading.RLock()
        self._part = ""
        self._dropped = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far."""
        return self._dropped + (self._writer.lost if self._writer is not None else 0)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        if self._fd < 0:
            raise OSError(errno.EBADF, "standard error is closed")
        return self._fd

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The loop that is to write from now on; None: none runs any more."""
        if self._writer is not None:
            self._writer.attach(loop)

    def write(self, text: str) -> int:
        with self._lock:
            whole = self._part + text if self._part else text
            cut = len(whole) if whole.endswith("\n") or len(whole) > _PART_CHARACTERS else whole.rfind("\n") + 1
            self._part = whole[cut:]
            if cut:
                self._hold(_encoded(whole[:cut]))
        return len(text)

    def write_line(self, line: bytes) -> None:
        """Writes a whole line, in UTF-8 and with its end, that can wait for others."""
        with self._lock:
            if self._part:
                self.flush()
            self._hold(line, can_wait=True)

    def flush(self) -> None:
        """Hands on a line that has no end yet; does not wait."""
        with self._lock:
            if self._part:
                part, self._part = self._part, ""
                self._hold(_encoded(part))

    def wait_written(self, seconds: float) -> bool:
        """Waits until all is written that was before, at most so long."""
        self.flush()
        return self._writer is None or self._writer.wait_written(seconds)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        super().close()

    def _hold(self, data: bytes, can_wait: bool = False) -> None:
        if self._writer is None or self._writer.held + len(data) > self._bound:
            self._dropped += data.count(b"\n") or 1
            return
        self._writer.put(data, can_wait)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
