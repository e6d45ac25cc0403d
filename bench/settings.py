"""What one run of the benchmark does: rounds, windows, sizes. Must never hold a measured figure."""

from dataclasses import dataclass, field

CONNECTIONS = 64
"""Connections of the bare client and of the peer: batchwire's default `max_in_flight` of a batch."""

UPSTREAM_CONNECTIONS = 128
"""Connections of the Go and Rust peers: batchwire's default `max_connections` of an upstream, shared by all batches."""

CALLS_PER_MESSAGE = 1000
"""Most calls the load generator puts in one gRPC message."""


@dataclass(frozen=True)
class Settings:
    """One run. Seconds are the length of one measured window, after a warm-up of a third of it."""

    rounds: int = 5
    seconds: float = 2.0
    sizes: tuple[int, ...] = (1, 10, 100, 1000, 10_000)
    concurrency: tuple[int, ...] = (1, 4)
    bare_sizes: tuple[int, ...] = (100, 1000)
    latency_sizes: tuple[int, ...] = (1, 10, 100)
    latency_rate: float = 50.0
    memory_calls: int = 1_000_000
    unary_sizes: tuple[int, ...] = (1, 10, 100, 1000)
    rest_sizes: tuple[int, ...] = (1, 10, 100)
    stream_unanswered: tuple[int, ...] = (1, 64)
    idle_connections: int = 2000
    parts: tuple[str, ...] = field(default_factory=tuple)


QUICK = {"rounds": 2, "seconds": 0.8, "memory_calls": 100_000}
"""What `--quick` changes: enough to see that everything works, too short for figures to quote."""
