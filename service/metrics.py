"""Prometheus metrics.

The core counts batches and calls and knows nothing of Prometheus: its figures are taken over once a second and at each
scrape. With several workers each writes its own files below PROMETHEUS_MULTIPROC_DIR (set by workers.py before
prometheus_client is imported), and any of them answers with the totals of all.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from batchwire.core.ledger import LASTED, Account
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
            "failures": "calls without a usable answer, late ones apart", "timeouts": "calls that were late",
            "retries": "calls sent once more after a stale connection",
            "taken_back": "calls whose answers were given up, to be asked for again"}  # fmt: skip
_GAUGED = {"connections": "open connections", "idle": "connections without a call",
           "in_flight": "calls running", "waiting_batches": "batches waiting for room"}  # fmt: skip


class Measured(Protocol):
    """An upstream of the core."""

    name: str

    def stats(self) -> Mapping[str, int]: ...


class _Durations(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """counts: how many fell into each class; seconds: their sum. Call it on what labels() gives."""
        self._sum.inc(seconds)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


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
        self._seconds = _Durations(
            "batchwire_batch_duration_seconds", "Time from first byte to last result", ["front"], registry=registry,
            buckets=LASTED,
        )  # fmt: skip
        self._received = Counter("batchwire_received_bytes", "Bytes of batches read", ["front"], registry=registry)
        self._sent = Counter("batchwire_sent_bytes", "Bytes of answers sent", ["front"], registry=registry)
        self._running = Gauge("batchwire_batches_in_flight", "Batches running", ["front"], registry=registry, **mode)
        self._dropped = Counter("batchwire_log_lines_dropped", "Log lines that could not be written", registry=registry)
        self._dropped_before = 0
        self._exhausted = Counter(
            "batchwire_descriptors_exhausted", "Seconds that began without a free file descriptor", registry=registry
        )
        self._exhausted_before = 0
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
        self._refusals: dict[tuple[str, str, str], int] = {}

    def batch_refused(self, front: str, route: str, reason: str) -> None:
        """A batch was refused before it began. route: root of one that is configured, or ""; reason: code of the error.

        All three have few values, whatever clients send.
        """
        key = front, route, reason
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def copy_exhausted(self, looks: int) -> None:
        """Takes over how often no descriptor was left, since the start."""
        self._exhausted.inc(looks - self._exhausted_before)
        self._exhausted_before = looks

    def hand_over(self, accounts: Iterable[Account]) -> None:
        """Brings Prometheus up to date with the batches."""
        dropped = lines_dropped()
        self._dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped
        running: dict[str, int] = {}
        for account in accounts:
            front, route = account.front, account.route
            running[front] = running.get(front, 0) + account.running
            told, lasted, seconds = account.take()
            for ended, batches, received, sent, calls in told:
                self._batches.labels(front, route, ended).inc(batches)
                self._received.labels(front).inc(received)
                self._sent.labels(front).inc(sent)
                for outcome, count in calls.items():
                    self._calls.labels(route, outcome).inc(count)
            if told:
                self._seconds.labels(front).add(lasted, seconds)
        for front, count in running.items():
            self._running.labels(front).set(count)
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
        """The text of /metrics and its content type; over all workers. hand_over() and copy_upstreams() come first."""
        registry = self._registry
        if self._many:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
