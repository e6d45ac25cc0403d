"""What the fronts of one worker share: configuration, routes, running batches, readiness.

Every batch of every front is opened and closed here, or refused, so that each has one log line and is counted once.
Must never look at bytes of a batch.
"""

import asyncio
import time
from typing import Any, Literal

from batchwire.core import EnvelopeError, Route, Session

from .config import Config
from .logs import batch_line
from .metrics import Metrics
from .refusals import RefusalLog
from .routes import RouteTable

Ending = Literal["ok", "cancelled", "broken", "deadline", "refused"]


LAST_WORDS_SECONDS = 1.0
"""What fronts may take to tell the clients of batches that were stopped."""


def stopped(session: Session) -> EnvelopeError:
    """Why a batch ends that the gateway stopped (REST: 503, gRPC: UNAVAILABLE).

    Both say that nothing was done, and clients and proxies send such a batch again: it must be true (FR-03).
    """
    if session.launched:
        message = f"The gateway stopped before the batch had ended ({session.launched} calls had been started)."
        return EnvelopeError(500, "Stopping", message)
    return EnvelopeError(503, "Stopping", "The gateway stopped before the batch had begun.")


class TooManyBatchesError(Exception):
    """limits.max_batches are running, of all clients or of one (REST: 429, gRPC: RESOURCE_EXHAUSTED)."""


class Batch:
    """A running batch: its session, and what is told of it when it ends."""

    def __init__(self, service: "Service", session: Session, front: str, route: str, peer: str, trace: str) -> None:
        self.session = session
        self.front = front
        self.route = route
        self.peer = peer
        self.trace = trace
        self._service = service
        self._began = time.monotonic()
        self._open = True

    def close(self, ended: Ending = "ok") -> None:
        """Ends the batch, stopping what still runs. A second call does nothing."""
        if not self._open:
            return
        self._open = False
        session = self.session
        if not session.finished:
            session.cancel()
        if ended == "ok" and session.cancelled:
            ended = "cancelled"
        if ended == "ok" and session.failure is not None:
            ended = "broken"
        self._service.closed(self, ended, time.monotonic() - self._began)


class Service:
    """One worker's state. `ready`: takes batches; `draining`: finishes those that run."""

    def __init__(self, config: Config, table: RouteTable, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self.table = table
        self.metrics = metrics
        self.loop = loop
        self.ready = False
        self.draining = False
        self.refusals = RefusalLog()
        self._batches: set[Batch] = set()
        self._of_clients: dict[str, int] = {}
        most = config.limits.max_batches
        self._most_of_client = config.limits.max_batches_per_client or most - most // 4
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Batches in flight."""
        return len(self._batches)

    def open_batch(self, front: str, route: Route, peer: str, trace: str = "", **session_args: Any) -> Batch:
        """Opens a session (arguments: batchwire.core.Session). Raises TooManyBatchesError."""
        if len(self._batches) >= self.config.limits.max_batches:
            raise TooManyBatchesError("too many batches are running")
        client = _address(peer)
        of_client = self._of_clients.get(client, 0)
        if client and of_client >= self._most_of_client:
            raise TooManyBatchesError("too many batches of this client are running")
        session = Session(self.loop, route, **session_args)
        batch = Batch(self, session, front, route.root.decode(), peer, trace)
        self._batches.add(batch)
        self._of_clients[client] = of_client + 1
        self._idle.clear()
        self.metrics.batch_opened(front)
        return batch

    def refused(self, front: str, route: str, status: int, code: str, peer: str) -> None:
        """Counts and logs a batch that was refused before it was opened (OP-14). route: its root, "" for none."""
        self.metrics.batch_refused(front, route, code)
        self.refusals.add(front, route, status, code, peer)

    def closed(self, batch: Batch, ended: Ending, elapsed: float) -> None:
        """Counts and logs a batch that has ended; called by Batch.close."""
        self._batches.discard(batch)
        client = _address(batch.peer)
        left = self._of_clients[client] - 1
        if left:
            self._of_clients[client] = left
        else:
            del self._of_clients[client]
        if not self._batches:
            self._idle.set()
        summary = batch.session.summary
        bytes_in, bytes_out = batch.session.fed_bytes, batch.session.sent_bytes
        self.metrics.batch_closed(batch.front, batch.route, ended, summary, elapsed, bytes_in, bytes_out)
        batch_line(batch, ended, summary, elapsed, bytes_in, bytes_out)

    async def drained(self, seconds: float) -> bool:
        """Waits until no batch and no app's own work behind its answer runs, at most so long; False: some still do."""
        try:
            async with asyncio.timeout(seconds):
                while self._batches or self.table.apps_at_work():
                    await self._idle.wait()
                    await self.table.apps_idle()
        except TimeoutError:
            return False
        return True

    async def wind_down(self, grace: float) -> None:
        """Lets what runs go on for `grace` seconds, stops the rest, and lets the fronts say so to its clients."""
        if not await self.drained(grace):
            for batch in list(self._batches):
                batch.session.stop()
            self.table.cancel_apps()
            # What has been sent of a request is read and answered; then nobody waits for the rest of it.
            if not await self.drained(LAST_WORDS_SECONDS / 2):
                for batch in list(self._batches):
                    batch.session.end_reading()
                await self.drained(LAST_WORDS_SECONDS / 2)
            for batch in list(self._batches):
                batch.session.cancel()


def _address(peer: str) -> str:
    """What the batches of one client have in common; "" for a UNIX socket, which is everybody's."""
    return "" if peer.startswith("unix") else peer.rpartition(":")[0]
