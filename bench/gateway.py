"""Part `gateway`: batches of GETs through batchwire, its peers and the bare client, in turns in each round.

The figure that counts is the gateway's own CPU time a call: gateway, nginx and load generator share the
cores, so calls a second say as much about the other two.
"""

from contextlib import ExitStack

from . import servers
from .limit import bare
from .processes import run_json
from .progress import say
from .servers import Gateway
from .settings import CONNECTIONS, Settings
from .table import Outcome, Sample, Table, median, number, spread
from .upstream import NotInstalled, Upstream

_STARTS = (servers.batchwire, servers.peer, servers.go_peer, servers.rust_peer, servers.floor)

Key = tuple[str, str, int, int]
"""Gateway, front, calls a batch, batches at once."""


def load(
    gateway: Gateway,
    front: str,
    upstream: Upstream,
    calls: int,
    at_once: int,
    seconds: float,
    rate: float = 0.0,
) -> Sample:
    """One window of the load generator on one front of a gateway; see loadgen.measure."""
    target = ["--front", front, "--target", gateway.addresses["grpc" if front == "grpc" else "rest"]]
    pids = ["--gateway-pid", gateway.pid, "--upstream-pid", upstream.pid]
    amount = ["--calls", calls, "--concurrency", at_once, "--seconds", seconds, "--rate", rate]
    return run_json("bench.loadgen", *target, *pids, *amount)


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """Every size of batch, alone and several at once, on every front of every gateway."""
    samples: dict[Key, list[Sample]] = {}
    about: list[str] = []
    with ExitStack() as stack:
        gateways: list[Gateway] = []
        for start in _STARTS:
            try:
                gateways.append(stack.enter_context(start(upstream)))
            except NotInstalled as lack:
                about.append(f"A gateway is left out: {lack}.")
            else:
                about += gateways[-1].note()
        for turn in range(settings.rounds):
            for calls in settings.sizes:
                say(f"gateway: round {turn + 1} of {settings.rounds}, batches of {calls}")
                if calls in settings.bare_sizes:
                    sample = bare(upstream, CONNECTIONS, calls, settings.seconds)
                    samples.setdefault(("bare client", "none", calls, 1), []).append(sample)
                for at_once in settings.concurrency:
                    for gateway in gateways:
                        for front in gateway.addresses:
                            sample = load(gateway, front, upstream, calls, at_once, settings.seconds)
                            samples.setdefault((gateway.name, front, calls, at_once), []).append(sample)
    return Outcome([_table(samples, about)], _figures(samples))


def _figures(samples: dict[Key, list[Sample]]) -> dict[str, float]:
    return {
        f"{name}/{front}/{calls}/{at_once}/cpu_us": median(rounds, "cpu_us")
        for (name, front, calls, at_once), rounds in samples.items()
    }


def _table(samples: dict[Key, list[Sample]], about: list[str]) -> Table:
    columns = ["calls a batch", "at once", "gateway", "front", "calls/s", "CPU µs a call"]
    columns += ["batch p50 ms", "batch p99 ms", "nginx µs a call", "generator µs a call"]
    table = Table(
        "Batches of GETs",
        columns,
        notes=[
            "At once: batches the load generator keeps in flight. CPU: of the gateway's processes alone.",
            "grpc.aio, no calls: the gRPC front alone, answering what it has made beforehand.",
            "p99 is left out where a window held fewer than 100 batches.",
            *about,
        ],
    )
    for key, rounds in sorted(samples.items(), key=lambda item: (item[0][2], item[0][3], item[0][:2])):
        name, front, calls, at_once = key
        row = [f"{calls:,}", str(at_once), name, {"grpc": "gRPC", "rest": "REST JSON", "none": "none"}[front]]
        row += [number(median(rounds, "calls_per_second")), spread(rounds, "cpu_us")]
        if front == "none":
            row += ["", "", number(median(rounds, "upstream_us")), ""]
        else:
            many = min(sample["batches"] for sample in rounds) >= 100
            row += [number(median(rounds, "p50_ms")), number(median(rounds, "p99_ms")) if many else ""]
            row += [number(median(rounds, "upstream_us")), number(median(rounds, "generator_us"))]
        table.rows.append(row)
    return table
