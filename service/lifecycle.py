"""The life of one worker process: starts upstreams and fronts, and ends them in order.

SIGTERM or SIGINT: not ready, no new batches, running ones may finish within the grace period, then the rest is
stopped. A second signal ends at once. Must never be imported before workers.py has set the environment of gRPC.
"""

import asyncio
import gc
import os
import signal

import structlog
import uvloop
from batchwire.core import settle_malloc

from .config import Config
from .fronts import listeners
from .metrics import Metrics
from .routes import RouteTable
from .state import LAST_WORDS_SECONDS, Service

COPY_SECONDS = 1.0
_log = structlog.get_logger("batchwire")


def run_worker(config: Config) -> int:
    """Runs a worker until a signal ends it; the exit code."""
    return uvloop.run(_serve(config))


async def _serve(config: Config) -> int:
    settle_malloc()
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    # Before anything else: a signal that comes while the app of an upstream starts must not be lost.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, stopping)
    table = RouteTable(config, loop)
    service = Service(config, table, Metrics(), loop)
    await table.start()
    fronts = listeners.make(service)
    started: list[listeners.Front] = []
    copier = loop.create_task(_copy_figures(service))
    try:
        for name, front in fronts:
            address = await front.start()
            started.append(front)
            _log.info("listening", front=name, address=address, pid=os.getpid())
        _spare_the_collector()
        service.ready = True
        await stopping.wait()
        service.ready = False
        service.draining = True
        _log.info("draining", running=service.running, grace_seconds=config.listen.grace_seconds)
        await _stop(service, started, config.listen.grace_seconds)
        started.clear()
    finally:
        copier.cancel()
        await _stop(service, started, 0)
        await table.stop()
    _log.info("stopped")
    return 0


async def _stop(service: Service, fronts: list[listeners.Front], grace: float) -> None:
    """Ends fronts; they stay long enough to tell the clients of batches that are cut after `grace` seconds."""
    await asyncio.gather(service.wind_down(grace), *(front.stop(grace + LAST_WORDS_SECONDS) for front in fronts))


def _spare_the_collector() -> None:
    """What lives as long as the process is not looked at again, and the thousands of calls of a running batch,
    which hold no cycles, do not set the collector off each few hundred."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _signalled(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(1)
    stopping.set()


async def _copy_figures(service: Service) -> None:
    while True:
        service.metrics.hand_over()
        service.metrics.copy_upstreams(service.table.upstreams.values())
        await asyncio.sleep(COPY_SECONDS)
