"""What the fronts of one worker share: configuration, routes, running batches, readiness.

Every batch of every front is in the ledger, or refused, so that each has one log line and is counted once. Must never
look at bytes of a batch.
"""

import asyncio
from typing import Literal

from batchwire.core import EnvelopeError, Session
from batchwire.core.ledger import Account, Ledger

from .config import Config
from .logs import batch_line, plain_writer
from .metrics import Metrics
from .refusals import RefusalLog
from .routes import RouteTable

Ending = Literal["ok", "cancelled", "broken", "deadline", "refused"]


FLUSH_SECONDS = 1.0
"""What fronts may take to tell the clients of batches that were stopped."""


def stopped(session: Session) -> EnvelopeError:
    """Why a batch ends that the gateway stopped (REST: 503, gRPC: UNAVAILABLE).

    Both say that nothing was done, and clients and proxies send such a batch again: it must be true (FR-03).
    """
    if session.launched:
        message = f"The gateway stopped before the batch had ended ({session.launched} calls had been started)."
        error = EnvelopeError(500, "Stopping", message)
        error.started = session.launched
        return error
    return EnvelopeError(503, "Stopping", "The gateway stopped before the batch had begun.")


class Service:
    """One worker's state. `ready`: takes batches."""

    def __init__(self, config: Config, table: RouteTable, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self.table = table
        self.metrics = metrics
        self.loop = loop
        self.ready = False
        self.refusals = RefusalLog()
        self._idle = asyncio.Event()
        self._figures: tuple[bytes, str] | None = None
        most = config.limits.max_batches
        self.ledger = Ledger(
            loop,
            most,
            config.limits.max_batches_per_client or most - most // 4,
            write=plain_writer(),
            say=batch_line,
            share=config.log.share(),
        )

    @property
    def running(self) -> int:
        """Batches in flight."""
        return len(self.ledger.batches)

    def account(self, front: str, route: str) -> Account:
        """Where the batches of a front and a route are counted."""
        return self.ledger.account(front, route)

    def figures(self) -> tuple[bytes, str]:
        """The text of /metrics and its content type. All who ask in one turn of the loop get the same (PL-01)."""
        if self._figures is None:
            self.take_figures()
            self._figures = self.metrics.render()
            self.loop.call_soon(self._forget_figures)
        return self._figures

    def _forget_figures(self) -> None:
        self._figures = None

    def take_figures(self) -> None:
        """Brings the metrics up to date with the core."""
        self.metrics.hand_over(self.ledger.all_accounts())
        self.metrics.copy_upstreams(self.table.upstreams.values())

    def refused(self, front: str, route: str, status: int, code: str, peer: str) -> None:
        """Counts and logs a batch that was refused before it was opened (OP-14). route: its root, "" for none."""
        self.metrics.batch_refused(front, route, code)
        self.refusals.add(front, route, status, code, peer)

    async def drained(self, seconds: float) -> bool:
        """Waits until no batch and no app's own work behind its answer runs, at most so long; False: some still do."""
        self.ledger.on_idle = self._idle.set
        try:
            async with asyncio.timeout(seconds):
                while self.ledger.batches or self.table.apps_at_work():
                    if self.ledger.batches:
                        self._idle.clear()
                        await self._idle.wait()
                    await self.table.apps_idle()
        except TimeoutError:
            return False
        return True

    async def drain(self, grace: float) -> None:
        """Lets what runs go on for `grace` seconds, stops the rest, and lets the fronts say so to its clients."""
        if not await self.drained(grace):
            for batch in list(self.ledger.batches):
                batch.session.stop()
            self.table.cancel_apps()
            # What has been sent of a request is read and answered; then nobody waits for the rest of it.
            if not await self.drained(FLUSH_SECONDS / 2):
                for batch in list(self.ledger.batches):
                    batch.session.end_reading()
                await self.drained(FLUSH_SECONDS / 2)
            for batch in list(self.ledger.batches):
                batch.session.cancel()
        self.ledger.write_on()
