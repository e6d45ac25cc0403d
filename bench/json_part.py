"""Part `json`: batch documents read into calls and answers written, by the core and by the standard library.

The library does less in one way (it makes no calls, checks no rule) and more in another (it builds Python
objects of every body). The core must be compiled; no upstream is needed.
"""

import json
import time
from collections.abc import Callable

from batchwire.core.dialects.json_writer import JsonWriter
from batchwire.core.model import Result

from . import json_speed
from .progress import say
from .settings import Settings
from .table import Outcome, Sample, Table, median, number, spread

_CHUNK = 65_536
_REQUESTS = ("get", "post", "post 1K", "post 4K", "text", "binary")
_ANSWERS = {"json": 60, "json 1K": 1000, "json 4K": 4000}

Samples = dict[tuple[str, str], list[Sample]]
"""By way (read, write) and shape; MB of document a second of the core and of the library."""


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _reading(shape: str) -> Sample:
    data, count = json_speed.document(shape, indent=False)
    size = len(data) / 1e6
    core = size / json_speed.read(data, count, _CHUNK)
    return {"core": core, "library": size / _seconds(lambda: json.loads(data)), "bytes": len(data) / count}


def _writing(size: int) -> Sample:
    result = Result()
    result.fill(200, json_speed.ANSWER_HEADERS, json.dumps(json_speed.entity(1, size)).encode())
    writer = JsonWriter()
    writer.lowercase = True
    text = writer.write_bytes(json_speed.sample_call(), result).lstrip(b",")
    answer = json.loads(text)
    count = json_speed.TOTAL_BYTES // len(text)
    seconds, written = json_speed.write(result, count, True)
    library = _seconds(lambda: [json.dumps(answer, separators=(",", ":")).encode() for _ in range(count)])
    return {
        "core": written / seconds / 1e6,
        "library": count * len(text) / library / 1e6,
        "bytes": written / count,
    }


def run(settings: Settings) -> Outcome:
    """Every shape of request and answer, once a round; figures: the slowest shape each way."""
    samples: Samples = {}
    for turn in range(settings.rounds):
        say(f"json: round {turn + 1} of {settings.rounds}")
        for shape in _REQUESTS:
            samples.setdefault(("read", shape), []).append(_reading(shape))
        for shape, size in _ANSWERS.items():
            samples.setdefault(("write", shape), []).append(_writing(size))
    table = Table(
        "JSON: MB of document a second on one core",
        ["way", "shape", "bytes a call", "core MB/s", "stdlib json MB/s"],
        notes=[
            f"Read in chunks of {_CHUNK:,} bytes into calls; written from results with 7 header fields.",
            "The library reads and writes Python objects and checks no rule of the batch format.",
        ],
    )
    figures: dict[str, float] = {}
    for (way, shape), rounds in samples.items():
        table.rows.append([way, shape, number(rounds[0]["bytes"]), spread(rounds, "core"), spread(rounds, "library")])
        name = f"json/{way}/mb_per_s"
        figures[name] = min(figures.get(name, float("inf")), median(rounds, "core"))
    return Outcome([table], figures)
