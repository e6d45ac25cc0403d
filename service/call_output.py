"""Where the answer of `batchwire call` goes: a file is written beside its place and takes it at the end.

Of an answer that breaks off, the results that came are kept beside it. Must never touch a file before the whole answer
is there: the file may be the batch itself.
"""

import contextlib
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Sink:
    """Takes the answer. kept: the file that has the results of an answer that broke off, "" for none."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.kept = ""
        self.results = 0
        self._size = 0
        self._end = b""

    def reached(self, results: int, size: int, end: bytes) -> None:
        """The first `size` bytes of what was written, with `end` behind them, are a document of so many results."""
        self.results, self._size, self._end = results, size, end

    def keep(self, draft: Path, target: Path) -> None:
        """Makes a document of the draft of an answer that broke off, in a file that does not exist yet."""
        with open(draft, "r+b", buffering=0) as opened:
            opened.truncate(self._size)
            opened.seek(self._size)
            _writer(opened.fileno())(self._end)
        number = 0
        place = target.with_name(f"{target.name}.part")
        while place.exists():
            number += 1
            place = target.with_name(f"{target.name}.part{number}")
        os.replace(draft, place)
        self.kept = str(place)


@contextmanager
def written(output: str) -> Iterator[Sink]:
    """Gives what takes the answer. Leaving with an exception leaves what was there before."""
    if output == "-":
        if sys.stdout is None:  # closed; its descriptor may be a connection's by now
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
        try:
            yield Sink(_writer(1))
        finally:
            # For what follows, a prompt or why it broke off; anywhere else the answer is the bytes that came.
            if os.isatty(1):
                with contextlib.suppress(OSError):
                    _writer(1)(b"\n")
        return
    if os.path.exists(output) and not os.path.isfile(output):
        # A device or a pipe has no place to be taken.
        with open(output, "wb", buffering=0) as sink:
            yield Sink(_writer(sink.fileno()))
        return
    # The file that a link names is replaced, not the link.
    target = Path(os.path.realpath(output))
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        try:
            opened = open(draft, "xb", buffering=0)  # noqa: SIM115 - closed below
        except OSError as error:
            raise OSError(error.errno, error.strerror, output) from None
        with opened as sink:
            taking = Sink(_writer(sink.fileno()))
            try:
                yield taking
            except BaseException:
                if taking.results:
                    with contextlib.suppress(OSError):
                        taking.keep(draft, target)
                raise
        if target.exists():
            shutil.copymode(target, draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _writer(descriptor: int) -> Callable[[bytes], None]:
    """Writes past Python's buffers: what a closed pipe did not take would be tried once more at the end."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write
