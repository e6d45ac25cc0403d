"""Part `latency`: how long a batch takes when the machine is far from busy.

Batches are due at a fixed rate and the time counts from when a batch was due, so a stall is not hidden by
the generator waiting for it.
"""

from contextlib import ExitStack

from . import servers
from .gateway import load
from .progress import say
from .settings import Settings
from .table import Outcome, Sample, Table, median, number
from .upstream import Upstream

_AT_ONCE = 4


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """Small batches at a fixed rate on every front of both gateways."""
    samples: dict[tuple[int, str, str], list[Sample]] = {}
    # At 50 batches a second a p99 needs at least 2 s.
    seconds, rate = max(2.0, settings.seconds), settings.latency_rate
    with ExitStack() as stack:
        gateways = [stack.enter_context(start(upstream)) for start in (servers.batchwire, servers.peer)]
        for turn in range(settings.rounds):
            say(f"latency: round {turn + 1} of {settings.rounds}")
            for calls in settings.latency_sizes:
                for gateway in gateways:
                    for front in gateway.addresses:
                        key = calls, gateway.name, front
                        sample = load(gateway, front, upstream, calls, _AT_ONCE, seconds, rate)
                        samples.setdefault(key, []).append(sample)
    table = Table(
        f"Latency at {rate:g} batches a second",
        ["calls a batch", "gateway", "front", "p50 ms", "p99 ms"],
        notes=["From when a batch was due to its whole answer, measured in the load generator."],
    )
    for (calls, name, front), rounds in sorted(samples.items()):
        times = [number(median(rounds, "p50_ms")), number(median(rounds, "p99_ms"))]
        table.rows.append([f"{calls:,}", name, {"grpc": "gRPC", "rest": "REST JSON"}[front], *times])
    return Outcome([table])
