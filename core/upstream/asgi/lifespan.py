"""The lifespan of an ASGI application: how it starts and ends with the process."""

import asyncio
import contextvars
import logging
from collections.abc import MutableMapping
from typing import Any

SHUTDOWN = 10.0  # seconds that it may take to end
GRACE = 1.0  # seconds that it gets to notice that it was cancelled
_log = logging.getLogger("batchwire.asgi")


class Lifespan:
    """context: that in which the application was loaded; it never enters it. timeout: seconds for its start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Any, context: contextvars.Context, timeout: float) -> None:
        self.state: dict[str, Any] = {}
        self._loop = loop
        self._app = app
        self._context = context
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self._stopped: asyncio.Future[None] = loop.create_future()
        self._inbound: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()

    async def startup(self) -> None:
        """Starts the application (ASGI lifespan). RuntimeError when it does not start."""
        started: asyncio.Future[str | None] = self._loop.create_future()
        self._inbound.put_nowait({"type": "lifespan.startup"})
        asked = asyncio.Event()

        async def receive() -> MutableMapping[str, Any]:
            asked.set()
            return await self._inbound.get()

        async def send(message: MutableMapping[str, Any]) -> None:
            await asyncio.sleep(0)  # OP-23
            kind = message["type"]
            if kind == "lifespan.startup.complete" and not started.done():
                started.set_result(None)
            elif kind == "lifespan.startup.failed" and not started.done():
                started.set_result(str(message.get("message") or "no reason given"))
            elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and not self._stopped.done():
                self._stopped.set_result(None)

        async def run() -> None:
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
            # The specification: one that raises, or ends, at the sight of this scope does not know lifespan and goes
            # without. It does know it once it has asked for the event.
            why = "it ended"
            try:
                await self._app(scope, receive, send)
            except BaseException as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    return
                why = f"{type(error).__name__}: {error}"
                if asked.is_set() or not isinstance(error, Exception):
                    _log.error("the application failed in its lifespan", exc_info=error)
            finally:
                if not started.done():
                    started.set_result(why if asked.is_set() else None)
                if not self._stopped.done():
                    self._stopped.set_result(None)

        task = self._task = self._loop.create_task(run(), context=self._context.copy())
        why: str | None = f"it took longer than {self._timeout:g} s"
        try:
            if (await asyncio.wait({started}, timeout=self._timeout))[0]:
                why = started.result()
        finally:
            if why is not None:
                task.cancel()
                self._task = None
        if why is not None:
            lines = why.strip().splitlines() or [""]
            if len(lines) > 1:
                _log.error("the application did not start: %s", why)
            raise RuntimeError(f"the application did not start: {lines.pop()}")

    async def shutdown(self) -> None:
        """Ends the application (ASGI lifespan)."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._inbound.put_nowait({"type": "lifespan.shutdown"})
        if not (await asyncio.wait({self._stopped}, timeout=SHUTDOWN))[0]:
            _log.error("the application did not end in time")
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
