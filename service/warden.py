"""Who ends a process: its signals, its parent, and a bound on how long the end may take (OP-02, OP-03, OP-05).

At the first word to stop a thread begins, which counts the time, so that nothing that the loop or an app does can keep
the process: neither a call that blocks the loop, nor a task that will not be cancelled. Before that there is none: see
log_writers.py for what a second thread costs. All words come as signals, SIGIO from the parent, which Python takes in
whatever runs but native code that does not let it. Must never decide how a worker ends; lifecycle.py does.
"""

import _thread
import contextlib
import fcntl
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import structlog

from .logs import last_lines
from .systemd import READY, ending, notify

STOP, NOW = "stop", "now"
"""What the parent of several workers says to each."""
SERVING = ""
"""What a worker says to its parent when it has begun."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
HELD = (*SIGNALS, signal.SIGHUP)
"""What waits until a new process knows what to do with it."""
_log = structlog.get_logger("batchwire")


class Warden:
    """seconds: from the first word to stop to the end of the process. parent: where STOP and NOW come from.

    Without a parent a second signal ends the process at once. With one it is the parent who counts: a signal to the
    whole process group reaches a worker twice, once by way of its parent.
    """

    def __init__(self, seconds: float, parent: Connection | None = None) -> None:
        self._seconds = seconds
        self._parent = parent
        self._counts = parent is None
        self._ear, self._mouth = os.pipe()
        self._watching = False
        self._stopping = threading.Event()
        self._stop: Callable[[], Any] | None = None

    def begin(self) -> None:
        """Takes the signals of this process; called in its main thread."""
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        # A terminal that is closed is no reason to end; and who ignores it from the start (nohup) goes on doing so.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, _nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        if self._parent is not None:
            signal.signal(signal.SIGIO, self._parent_spoke)
            fcntl.fcntl(self._parent, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self._parent, fcntl.F_SETFL, fcntl.fcntl(self._parent, fcntl.F_GETFL) | os.O_ASYNC)
            if self._parent.poll():
                self._watch()

    def on_stop(self, stop: Callable[[], Any]) -> None:
        """What is to be called, from another thread, at the first word to stop; at once if it has come already."""
        self._stop = stop
        if self._stopping.is_set():
            self._call_stop()

    def count_down(self) -> None:
        """The process ends for a reason of its own: its time counts from now."""
        os.write(self._mouth, b"s")
        self._watch()

    def tell_parent(self, word: str) -> None:
        """SERVING, or why it cannot. A parent that is dead is none of its business: the watch sees to that."""
        if self._counts and word == SERVING:
            notify(READY)
        elif self._parent is not None:
            with contextlib.suppress(OSError):
                self._parent.send(word)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        os.write(self._mouth, b"!")
        self._watch()

    def _parent_spoke(self, _number: int, _frame: FrameType | None) -> None:
        self._watch()

    def _watch(self) -> None:
        """Begins the thread. Called from handlers of signals, where threading.Thread may wait for itself."""
        if not self._watching:
            self._watching = True
            if self._parent is not None:
                # The thread hears the parent from now on. Python gives every signal that it handles back to the system
                # when it ends, and SIGIO then, from a parent that speaks late, would kill the process.
                fcntl.fcntl(self._parent, fcntl.F_SETFL, fcntl.fcntl(self._parent, fcntl.F_GETFL) & ~os.O_ASYNC)
            _thread.start_new_thread(self._count, ())

    # --- the thread

    def _count(self) -> None:
        end = None
        while end is None or time.monotonic() < end:
            word = self._word(None if end is None else end - time.monotonic())
            if word == NOW:
                break
            if word == STOP and end is None:
                end = time.monotonic() + self._seconds
                self._stopping.set()
                if self._counts:
                    notify(*ending(self._seconds))
                self._call_stop()
        else:
            _log.error("ended by force", reason="it did not end in time", seconds=self._seconds)
        last_lines()
        os._exit(1)

    def _call_stop(self) -> None:
        if self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._stop()

    def _word(self, seconds: float | None) -> str:
        """What comes next; "": nothing did in this time."""
        heard: list[Any] = [self._ear]
        if self._parent is not None:
            heard.append(self._parent)
        ready = select.select(heard, (), (), seconds)[0]
        if self._parent is not None and self._parent in ready:
            try:
                return str(self._parent.recv())
            except (EOFError, OSError):
                self._parent = None  # workers end with their parent
                return STOP
        if not ready:
            return ""
        byte = os.read(self._ear, 1)
        return NOW if byte == b"!" and self._stopping.is_set() and self._counts else STOP


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which the programs that an app starts would inherit."""
