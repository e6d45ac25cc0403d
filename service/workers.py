"""One or several worker processes on the same listeners.

With one worker it is this process. With more, the parent spawns them (never forks: gRPC's threads do not survive
one), tells them when to stop and waits; a worker that dies is replaced, the sooner the longer it has lived, while the
others go on (OP-03). Must never serve a request itself in the parent.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import structlog

from .config import Config, ConfigurationError, Listen
from .descriptors import allow_many, occupy_standard
from .fronts.listening.sockets import reserved_socket
from .logs import set_up
from .systemd import READY, ending, notify
from .warden import HELD, NOW, SERVING, SIGNALS, STOP, Warden

BACK_OFF = (0.5, 30.0)
"""Seconds until a dead worker is replaced: at first, and at most; each death doubles them."""
STEADY_SECONDS = 60.0
"""A worker that has lived so long is replaced as if it were the first that died."""
KILL_SECONDS = 5.0
"""What a worker may take beyond its own bound."""
Announce = Callable[[str], None]
_log = structlog.get_logger("batchwire")
# Measured: gRPC's older poller costs a sixth less CPU a stream than its event engine. Set by the user, it stays.
_GRPC_ENVIRONMENT = {"GRPC_EXPERIMENTS": "-event_engine_listener", "GRPC_VERBOSITY": "ERROR"}


def run(config: Config, announce: Announce | None = None) -> int:
    """Runs the gateway; the exit code. announce: see lifecycle.py. Raises ConfigurationError, OSError."""
    for key, value in _GRPC_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    occupy_standard()
    set_up(config.log.format, config.log.level)
    allow_many(config)
    if config.listen.workers == 1:
        return _work(config, None, announce)
    return _Supervisor(config, announce).run()


def _work(config: Config, parent: Connection | None, announce: Announce | None = None) -> int:
    warden = Warden(config.listen.ending_seconds(), parent)
    warden.begin()
    from .lifecycle import run_worker

    try:
        return run_worker(config, warden, announce)
    except (ConfigurationError, OSError) as error:
        if parent is None:
            raise
        warden.tell_parent(str(error))
        return 1


def _spawned(config: Config, parent: Connection) -> None:
    set_up(config.log.format, config.log.level)
    raise SystemExit(_work(config, parent))


class _Worker:
    """A child process and what it has said."""

    def __init__(self, config: Config) -> None:
        context = multiprocessing.get_context("spawn")
        self.ear, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_spawned, args=(config, theirs))
        self.began = time.monotonic()
        self.served = False
        self.complaint = ""
        self.silent = False  # it will say no more
        # A signal to the group must not meet a child that does not know yet what to do with it: it waits until then.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        theirs.close()

    def listen(self) -> None:
        """Takes in what it says."""
        try:
            while self.ear.poll():
                word = self.ear.recv()
                self.served = self.served or word == SERVING
                self.complaint = word
        except (EOFError, OSError):
            self.silent = True

    def tell(self, word: str) -> None:
        with contextlib.suppress(OSError):
            self.ear.send(word)


class _Supervisor:
    """The parent of several workers."""

    def __init__(self, config: Config, announce: Announce | None) -> None:
        self._config = config
        self._announce = announce
        self._workers: list[_Worker] = []
        self._due: list[float] = []  # when workers are to be replaced
        self._deaths = 0  # one behind the other
        self._served = False
        self._signals = 0
        self._failed = False
        self._complaint = ""
        self._kill_at: float | None = None

    def run(self) -> int:
        with contextlib.ExitStack() as held:
            _reserve(self._config.listen, held)
            return self._run()

    def _run(self) -> int:
        folder = tempfile.mkdtemp(prefix="batchwire-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        ear, mouth = os.pipe()
        os.set_blocking(mouth, False)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: None)
        resource_tracker.ensure_running()  # it unblocks signals when it starts
        try:
            self._due = [0.0] * self._config.listen.workers
            while self._workers or self._due:
                self._replace()
                self._wait(ear)
                self._bury()
        finally:
            signal.set_wakeup_fd(-1)
            shutil.rmtree(folder, ignore_errors=True)
        if self._complaint:
            raise ConfigurationError(self._complaint)
        return 1 if self._failed else 0

    def _signalled(self, *_: object) -> None:
        self._signals += 1

    def _replace(self) -> None:
        """Starts the workers that are due, or none any more once the end has come."""
        if self._signals:
            self._stop()
        now = time.monotonic()
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            self._workers.append(_Worker(self._config))

    def _stop(self) -> None:
        self._due.clear()
        if self._kill_at is None:
            seconds = self._config.listen.ending_seconds() + KILL_SECONDS
            self._kill_at = time.monotonic() + seconds
            notify(*ending(seconds))
            for worker in self._workers:
                worker.tell(STOP)
        if self._signals > 1:
            self._signals = 1
            self._failed = True
            for worker in self._workers:
                worker.tell(NOW)

    def _wait(self, ear: int) -> None:
        now = time.monotonic()
        soonest = min([*self._due, *([] if self._kill_at is None else [self._kill_at])], default=None)
        watched: list[Any] = [ear, *(worker.process.sentinel for worker in self._workers)]
        watched += [worker.ear for worker in self._workers if not worker.silent]
        ready = wait(watched, None if soonest is None else max(soonest - now, 0))
        if ear in ready:
            os.read(ear, 4096)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._failed = True
            for worker in self._workers:
                worker.process.kill()
            self._kill_at = time.monotonic() + KILL_SECONDS

    def _bury(self) -> None:
        """Sees to the dead: each is replaced, but for one that was told to end, or never could begin."""
        # All are heard before any is judged: one that serves already decides what the death of another means.
        for worker in self._workers:
            worker.listen()
            if worker.served and not self._served:
                self._served = True
                notify(READY)
                if self._announce is not None:
                    self._announce(self._config.listen.http)
        for worker in list(self._workers):
            if worker.process.is_alive():
                continue
            worker.process.join()
            worker.ear.close()
            self._workers.remove(worker)
            self._forget_figures(worker)
            code = worker.process.exitcode
            if self._kill_at is not None:
                self._failed = self._failed or code not in (0, *(-number for number in HELD))
                continue
            if self._signals:
                continue
            if not self._served:
                self._failed = True
                self._complaint = worker.complaint or f"a worker ended before it had begun to serve (exit code {code})"
                self._stop()
                continue
            lived = time.monotonic() - worker.began
            self._deaths = 0 if lived > STEADY_SECONDS else self._deaths
            seconds = min(BACK_OFF[0] * 2.0**self._deaths, BACK_OFF[1])
            self._deaths = min(self._deaths + 1, 10)
            self._due.append(time.monotonic() + seconds)
            _log.error(
                "worker died",
                pid=worker.process.pid,
                exit_code=code,
                replaced_in_seconds=seconds,
                **({"reason": worker.complaint} if worker.complaint else {}),
            )

    def _forget_figures(self, worker: _Worker) -> None:
        """Gauges of a dead worker count no longer; what it has counted stays in the totals."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]


def _reserve(listen: Listen, held: contextlib.ExitStack) -> None:
    """Keeps the ports that the workers share, also those that the system chooses. Raises OSError: one is in use."""
    for front in ("grpc", "http"):
        address: str = getattr(listen, front)
        if not address or (front == "http" and address == listen.grpc):
            continue
        kept = reserved_socket(address)
        if kept is not None:
            held.enter_context(kept)
            if address.endswith(":0"):
                setattr(listen, front, f"{address.rpartition(':')[0]}:{kept.getsockname()[1]}")
