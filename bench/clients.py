"""Part `clients`: what calls cost in Python without a gateway, with aiohttp and httpx straight to nginx."""

from .processes import run_json
from .progress import say
from .settings import CONNECTIONS, Settings
from .table import Outcome, Sample, Table, median, number, spread
from .upstream import Upstream

_CASES = [("aiohttp", 1), ("aiohttp", CONNECTIONS), ("httpx", 1)]


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """One call after another, and for aiohttp also as many at once as a batch has in flight."""
    samples: dict[tuple[str, int], list[Sample]] = {case: [] for case in _CASES}
    for turn in range(settings.rounds):
        say(f"clients: round {turn + 1} of {settings.rounds}")
        for library, at_once in _CASES:
            options = ["--library", library, "--url", f"{upstream.url}things/1", "--at-once", at_once]
            options += ["--upstream-pid", upstream.pid, "--seconds", settings.seconds]
            samples[library, at_once].append(run_json("bench.peers.one_call", *options))
    table = Table(
        "Python clients straight to nginx, no gateway",
        ["client", "calls at once", "calls/s", "CPU µs a call", "nginx µs a call"],
    )
    for (library, at_once), rounds in samples.items():
        row = [library, str(at_once), number(median(rounds, "calls_per_second"))]
        table.rows.append([*row, spread(rounds, "cpu_us"), number(median(rounds, "upstream_us"))])
    return Outcome([table])
