"""Part `multipart`: multipart batches read into calls and answers written, by the core.

The standard library has no parser to set beside it that keeps bodies byte-exact and knows change sets. The core
must be compiled; no upstream is needed.
"""

from . import multipart_speed
from .progress import say
from .settings import Settings
from .table import Outcome, Sample, Table, median, number, spread

_CHUNK = 65_536

Samples = dict[tuple[str, str], list[Sample]]
"""By way (read, write) and shape; MB of document a second of the core."""


def _reading(shape: str, change_sets: bool) -> Sample:
    data, count = multipart_speed.document(shape, change_sets)
    return {
        "core": len(data) / 1e6 / multipart_speed.read(data, count, _CHUNK),
        "bytes": len(data) / count,
    }


def _writing(shape: str) -> Sample:
    seconds, count, written = multipart_speed.write(shape)
    return {"core": written / seconds / 1e6, "bytes": written / count}


def run(settings: Settings) -> Outcome:
    """Every shape of body each way, once a round; figures: the slowest shape each way."""
    samples: Samples = {}
    for turn in range(settings.rounds):
        say(f"multipart: round {turn + 1} of {settings.rounds}")
        for shape in multipart_speed.BODIES:
            samples.setdefault(("read", shape), []).append(_reading(shape, False))
            samples.setdefault(("read", f"{shape}, change sets"), []).append(_reading(shape, True))
            samples.setdefault(("write", shape), []).append(_writing(shape))
    table = Table(
        "Multipart: MB of document a second on one core",
        ["way", "shape", "bytes a call", "core MB/s"],
        notes=[
            f"Read in chunks of {_CHUNK:,} bytes into calls; written from results with 7 header fields.",
            "Change sets: each call in one of its own, as several clients send every write.",
        ],
    )
    figures: dict[str, float] = {}
    for (way, shape), rounds in sorted(samples.items()):
        table.rows.append([way, shape, number(rounds[0]["bytes"]), spread(rounds, "core")])
        name = f"multipart/{way}/mb_per_s"
        figures[name] = min(figures.get(name, float("inf")), median(rounds, "core"))
    return Outcome([table], figures)
