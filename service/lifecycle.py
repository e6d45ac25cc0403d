"""The life of one worker process: starts upstreams and fronts, and ends them in order.

A word to stop (see warden.py): not ready, and after listen.drain_delay_seconds no new batches; what runs may finish
within the grace period, then the rest is stopped; listen.stop_seconds later the process ends, whatever it does. Must
never be imported before workers.py has set the environment of gRPC.
"""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop
from batchwire.core import tune_malloc
from batchwire.core.errors import ConfigError

from .config import Config, ConfigurationError
from .descriptors import DescriptorWatch
from .fronts.listening import listeners
from .logs import write_in
from .metrics import Metrics
from .routes import RouteTable
from .state import FLUSH_SECONDS, Service
from .warden import SERVING, Warden

COPY_SECONDS = 1.0
_log = structlog.get_logger("batchwire")


def run_worker(config: Config, warden: Warden, announce: Callable[[str], None] | None = None) -> int:
    """Runs a worker until it is told to stop; the exit code. Raises ConfigurationError, OSError.

    announce: called with the address of the REST listener, "" for none, when all listeners are up.
    """
    tune_malloc()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    write_in(loop)
    stopping = asyncio.Event()
    warden.on_stop(lambda: loop.call_soon_threadsafe(stopping.set))
    try:
        code: int = _run(loop, _serve(config, warden, loop, stopping, announce))
        return code
    except ConfigError as error:
        raise ConfigurationError(str(error)) from None
    finally:
        warden.count_down()
        _run(loop, _leave())
        write_in(None)
        asyncio.set_event_loop(None)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, made: Coroutine[Any, Any, Any]) -> Any:
    """Runs the loop until this has ended. What makes a loop stop may come from any task of an app (OP-05)."""
    task = loop.create_task(made)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            _log.error("a task of an app raised what ends a program", error=type(error).__name__)


async def _leave() -> None:
    """Cancels what still runs. A task that will not be cancelled is left behind (OP-06)."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others and (await asyncio.wait(others, timeout=FLUSH_SECONDS))[1]:
        _log.warning("tasks of an app would not be cancelled")
    for closing in (asyncio.get_running_loop().shutdown_asyncgens(), _end_threads()):
        await asyncio.wait({asyncio.ensure_future(closing)}, timeout=FLUSH_SECONDS)


async def _end_threads() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()


async def _serve(
    config: Config,
    warden: Warden,
    loop: asyncio.AbstractEventLoop,
    stopping: asyncio.Event,
    announce: Callable[[str], None] | None,
) -> int:
    table = RouteTable(config, loop)
    service = Service(config, table, Metrics(), loop)
    fronts: list[tuple[str, listeners.Front]] = []
    started: list[listeners.Front] = []
    addresses: dict[str, str] = {}
    figures = _Figures(service, loop)
    try:
        if not await _unless(stopping, table.start()):
            return 0
        fronts = listeners.make(service)
        for name, front in fronts:
            addresses[name] = await front.start()
            started.append(front)
        for name, address in addresses.items():
            _log.info("listening", front=name, address=address, pid=os.getpid())
        _spare_the_collector(any(upstream.app for upstream in config.upstreams.values()))
        service.ready = True
        warden.tell_parent(SERVING)
        if announce is not None:
            announce(addresses.get("http") or addresses.get("all", ""))
        await _told(stopping)
        service.ready = False
        if config.listen.drain_delay_seconds:
            await _retire(started, config.listen.drain_delay_seconds)
        service.ledger.draining = True
        _log.info("draining", running=service.running, grace_seconds=config.listen.grace_seconds)
        await _stop(service, started, config.listen.grace_seconds)
        started.clear()
    finally:
        warden.count_down()
        figures.stop()
        await _stop(service, started, 0)
        await table.stop()
    _log.info("stopped")
    return 0


async def _unless(stopping: asyncio.Event, starting: Coroutine[Any, Any, None]) -> bool:
    """Whether it has come to its end before the word to stop; raises what it raises."""
    task = asyncio.ensure_future(starting)
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait({task}, timeout=FLUSH_SECONDS)
    return False


async def _retire(fronts: list[listeners.Front], seconds: float) -> None:
    """Tells clients to go elsewhere, and serves those that come until proxies have heard of it (FR-09)."""
    _log.info("retiring", drain_delay_seconds=seconds)
    await asyncio.gather(*(front.retire() for front in fronts))
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await _told(over)


async def _stop(service: Service, fronts: list[listeners.Front], grace: float) -> None:
    """Ends fronts; they stay long enough to tell the clients of batches that are cut after `grace` seconds."""
    await asyncio.gather(service.drain(grace), *(front.stop(grace + FLUSH_SECONDS) for front in fronts))


def _spare_the_collector(apps: bool) -> None:
    """What lives as long as the process is not looked at again. Where there are no apps, whose cycles may hold bodies
    (OP-25), the calls of a running batch, which hold none, do not set the collector off each few hundred."""
    gc.collect()
    gc.freeze()
    if not apps:
        gc.set_threshold(20_000, 20, 20)


async def _told(word: asyncio.Event) -> None:
    """Waits for a word, as that to stop. What cancels this task is an app that cancels all there are (OP-05)."""
    while not word.is_set():
        try:
            await word.wait()
        except asyncio.CancelledError:
            _log.error("a task of an app cancelled the gateway's own")


class _Figures:
    """Brings the metrics up to date each COPY_SECONDS. A timer, which no app can cancel by mistake."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._descriptors = DescriptorWatch(loop)
        self._timer = loop.call_soon(self._copy)

    def stop(self) -> None:
        """For good."""
        self._timer.cancel()

    def _copy(self) -> None:
        self._timer = self._loop.call_later(COPY_SECONDS, self._copy)
        self._descriptors.check()
        self._service.metrics.copy_exhausted(self._descriptors.exhausted)
        self._service.take_figures()
        self._service.refusals.tell_rest()
