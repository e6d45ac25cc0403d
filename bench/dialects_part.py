"""Part `dialects`: the same batch of independent GETs over REST as JSON and in the document dialect (multipart).

Both are answered in request order, the default of either.
"""

from . import servers
from .gateway import load
from .progress import say
from .settings import Settings
from .table import Outcome, Sample, Table, median, number, spread
from .upstream import Upstream

_CALLS = 100
_FRONTS = {"rest": "JSON", "document": "document (multipart)"}


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """Batches of 100, the two dialects in turns in each round."""
    samples: dict[str, list[Sample]] = {}
    with servers.batchwire(upstream) as gateway:
        for turn in range(settings.rounds):
            say(f"dialects: round {turn + 1} of {settings.rounds}")
            for front in _FRONTS:
                sample = load(gateway, front, upstream, _CALLS, 1, settings.seconds)
                samples.setdefault(front, []).append(sample)
    table = Table(f"Dialects: batches of {_CALLS} GETs over REST", ["dialect", "calls/s", "CPU µs a call", "p50 ms"])
    for front, name in _FRONTS.items():
        rounds = samples[front]
        table.rows.append(
            [
                name,
                number(median(rounds, "calls_per_second")),
                spread(rounds, "cpu_us"),
                number(median(rounds, "p50_ms")),
            ]
        )
    return Outcome([table], {f"dialects/{front}/cpu_us": median(rounds, "cpu_us") for front, rounds in samples.items()})
