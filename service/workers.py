"""One or several worker processes on the same listeners.

With one worker it is this process. With more, the parent spawns them (never forks: gRPC's threads do not survive
one), passes signals on and waits; a worker that dies without being told to ends the others, because a gateway
that silently loses half its capacity is worse than one that is restarted. Must never serve a request itself in the
parent.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
from multiprocessing.connection import wait
from types import FrameType

import structlog

from .config import Config
from .logs import set_up

_log = structlog.get_logger("batchwire")
# Measured: gRPC's older poller costs a sixth less CPU a stream than its event engine. Set by the user, it stays.
_GRPC_ENVIRONMENT = {"GRPC_EXPERIMENTS": "-event_engine_listener", "GRPC_VERBOSITY": "ERROR"}


def run(config: Config) -> int:
    """Runs the gateway; the exit code."""
    for key, value in _GRPC_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    set_up(config.log.format, config.log.level)
    if config.listen.workers == 1:
        return _work(config)
    return _supervise(config)


def _work(config: Config) -> int:
    from .lifecycle import run_worker

    return run_worker(config)


def _spawned(config: Config) -> None:
    set_up(config.log.format, config.log.level)
    raise SystemExit(_work(config))


def _supervise(config: Config) -> int:
    folder = tempfile.mkdtemp(prefix="batchwire-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    reserved = [_reserve(config, "grpc"), _reserve(config, "http")]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spawned, args=(config,)) for _ in range(config.listen.workers)]
    told = False

    def tell(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        for worker in workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    for worker in workers:
        worker.start()
    failed = False
    try:
        alive = list(workers)
        while alive:
            wait([worker.sentinel for worker in alive])
            for worker in [worker for worker in alive if not worker.is_alive()]:
                alive.remove(worker)
                if not told:
                    _log.error("worker died", pid=worker.pid, exit_code=worker.exitcode)
                    failed = True
                    tell(signal.SIGTERM, None)
                failed = failed or worker.exitcode != 0
    finally:
        for held in reserved:
            if held is not None:
                held.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _reserve(config: Config, front: str) -> socket.socket | None:
    """Holds a port that is chosen by the system, so that all workers can be given the same one."""
    address: str = getattr(config.listen, front)
    if not address.endswith(":0"):
        return None
    host = address.rpartition(":")[0].strip("[]")
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host, 0))
    setattr(config.listen, front, f"{address.rpartition(':')[0]}:{held.getsockname()[1]}")
    return held
