"""Prometheus metrics. Calls are counted once a batch from its summary, never one by one.

Batches are tallied in plain numbers, which cost a tenth of a Prometheus counter's inc(), and handed over once a second
and at each scrape. With several workers each writes its own files below PROMETHEUS_MULTIPROC_DIR (set by workers.py
before prometheus_client is imported), and any of them answers with the totals of all. Upstream figures are copied from
the core's counters once a second and at each scrape, because the core knows nothing of Prometheus. Must never be
called once a call.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from batchwire.core import OUTCOMES
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from .logs import lines_dropped

_COUNTED = {"calls": "calls", "connects": "connections made", "connect_failures": "connections that failed",
            "failures": "calls without a usable answer", "timeouts": "calls that were late",
            "retries": "calls sent once more after a stale connection"}  # fmt: skip
_GAUGED = {"connections": "open connections", "idle": "connections without a call",
           "in_flight": "calls running", "waiting_batches": "batches waiting for room"}  # fmt: skip


class Measured(Protocol):
    """An upstream of the core."""

    name: str

    def stats(self) -> Mapping[str, int]: ...


class _Tally:
    """What has not been handed over of one front, route and ending."""

    __slots__ = ("batches", "observe", "outcomes", "received", "sent")

    def __init__(self, observe: Callable[[float], None]) -> None:
        self.observe = observe
        self.clear()

    def clear(self) -> None:
        self.batches = self.received = self.sent = 0
        self.outcomes = dict.fromkeys(OUTCOMES, 0)


class Metrics:
    """All metrics of one worker."""

    def __init__(self) -> None:
        self._many = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        registry = CollectorRegistry()
        mode: Any = {"multiprocess_mode": "livesum"} if self._many else {}
        self._batches = Counter("batchwire_batches", "Batches ended", ["front", "route", "ended"], registry=registry)
        self._calls = Counter("batchwire_calls", "Calls by outcome", ["route", "outcome"], registry=registry)
        self._refused = Counter(
            "batchwire_batches_refused", "Batches refused before they began", ["front", "route", "reason"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "batchwire_batch_duration_seconds", "Time from first byte to last result", ["front"], registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )  # fmt: skip
        self._received = Counter("batchwire_received_bytes", "Bytes of batches read", ["front"], registry=registry)
        self._sent = Counter("batchwire_sent_bytes", "Bytes of answers sent", ["front"], registry=registry)
        self._running = Gauge("batchwire_batches_in_flight", "Batches running", ["front"], registry=registry, **mode)
        self._dropped = Counter("batchwire_log_lines_dropped", "Log lines that could not be written", registry=registry)
        self._dropped_before = 0
        self._upstream_counters = {
            key: Counter(f"batchwire_upstream_{key}", f"Upstream: {text}", ["upstream"], registry=registry)
            for key, text in _COUNTED.items()
        }
        self._upstream_gauges = {
            key: Gauge(f"batchwire_upstream_{key}", f"Upstream: {text}", ["upstream"], registry=registry, **mode)
            for key, text in _GAUGED.items()
        }
        self._registry = registry
        self._last: dict[tuple[str, str], int] = {}
        self._in_flight: dict[str, int] = {}
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._refusals: dict[tuple[str, str, str], int] = {}

    def batch_opened(self, front: str) -> None:
        """A batch begins."""
        self._in_flight[front] = self._in_flight.get(front, 0) + 1

    def batch_closed(
        self,
        front: str,
        route: str,
        ended: str,
        summary: Mapping[str, Any],
        elapsed: float,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """A batch has ended; summary: Session.summary."""
        self._in_flight[front] -= 1
        tally = self._tallies.get((front, route, ended))
        if tally is None:
            tally = self._tallies[front, route, ended] = _Tally(self._seconds.labels(front).observe)
        tally.batches += 1
        tally.received += bytes_in
        tally.sent += bytes_out
        tally.observe(elapsed)
        for outcome in OUTCOMES:
            if summary[outcome]:
                tally.outcomes[outcome] += summary[outcome]

    def batch_refused(self, front: str, route: str, reason: str) -> None:
        """A batch was refused before it began. route: root of one that is configured, or ""; reason: code of the error.

        All three have few values, whatever clients send.
        """
        key = front, route, reason
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def hand_over(self) -> None:
        """Brings Prometheus up to date with the batches."""
        dropped = lines_dropped()
        self._dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped
        for front, running in self._in_flight.items():
            self._running.labels(front).set(running)
        for (front, route, ended), tally in self._tallies.items():
            if not tally.batches:
                continue
            self._batches.labels(front, route, ended).inc(tally.batches)
            self._received.labels(front).inc(tally.received)
            self._sent.labels(front).inc(tally.sent)
            for outcome, calls in tally.outcomes.items():
                if calls:
                    self._calls.labels(route, outcome).inc(calls)
            tally.clear()
        for labels, refused in self._refusals.items():
            self._refused.labels(*labels).inc(refused)
        self._refusals.clear()

    def copy_upstreams(self, upstreams: Iterable[Measured]) -> None:
        """Takes over the core's counters and gauges."""
        for upstream in upstreams:
            stats = upstream.stats()
            for key, gauge in self._upstream_gauges.items():
                gauge.labels(upstream.name).set(stats.get(key, 0))
            for key, counter in self._upstream_counters.items():
                value = stats.get(key, 0)
                counter.labels(upstream.name).inc(value - self._last.get((upstream.name, key), 0))
                self._last[upstream.name, key] = value

    def render(self) -> tuple[bytes, str]:
        """The text of /metrics and its content type; over all workers."""
        self.hand_over()
        registry = self._registry
        if self._many:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
