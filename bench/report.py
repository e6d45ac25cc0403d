"""Writes what a run found as Markdown: targets first, then every table, then machine and configuration."""

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path

from . import targets
from .processes import ROOT
from .settings import CALLS_PER_MESSAGE, CONNECTIONS, UPSTREAM_CONNECTIONS, Settings
from .table import Outcome, Table
from .upstream import BODY

RESULTS = ROOT / "bench" / "results"


def _markdown(table: Table) -> str:
    lines = [f"## {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    lines += [_line(row) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _configuration(settings: Settings, arguments: Sequence[str]) -> Table:
    result = Table("Configuration", ["what", "value"])
    result.rows = [
        ["command", f"`python -m bench {shlex.join(arguments)}`".replace(" `", "`")],
        ["rounds; window", f"{settings.rounds}; {settings.seconds:g} s after a warm-up of a third of it"],
        ["figures", "median of the rounds (least to most)"],
        ["upstream", f"nginx, one process, loopback, {len(BODY)}-byte JSON body, keep-alive, no access log"],
        ["batchwire", "`batchwire serve --upstream URL --root /`, else defaults: 1 worker, max_in_flight 64"],
        [
            "peer in Go",
            f"grpc-go, net/http ({UPSTREAM_CONNECTIONS} connections), {CONNECTIONS} calls of a batch at once",
        ],
        [
            "peer in Rust",
            f"tonic, hyper ({UPSTREAM_CONNECTIONS} connections), {CONNECTIONS} calls of a batch at once, one thread",
        ],
        ["peer", f"grpc.aio, aiohttp ({CONNECTIONS} connections), gather, generated classes, uvloop"],
        ["bare client", f"Cython asyncio protocol on uvloop, {CONNECTIONS} connections"],
        [
            "load generator",
            f"one process, grpc.aio or http.client, {CALLS_PER_MESSAGE:,} calls a message at most;"
            " part front: h2load, a raw HTTP/2 client",
        ],
        ["CPU time", "user + system of the process and its children; kernel work of loopback is in it"],
    ]
    return result


def text(outcome: Outcome, settings: Settings, arguments: Sequence[str], about: list[tuple[str, str]]) -> str:
    """The whole report; `arguments` are the command line's, `about` describes the machine."""
    today = datetime.date.today().isoformat()
    parts = ", ".join(settings.parts)
    machine_table = Table("Machine", ["what", "value"], [[what, value] for what, value in about])
    found = [targets.table(outcome.figures), *outcome.tables]
    tables = [*found, _configuration(settings, arguments), machine_table]
    return "\n\n".join([f"# Benchmark of {today}: {parts}", *map(_markdown, tables)]) + "\n"


def write(report: str, name: str) -> Path:
    """Writes results/<date>-<name>.md and the same as results/latest.md; returns the path of the first."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.date.today().isoformat()}-{name}.md"
    path.write_text(report)
    (RESULTS / "latest.md").write_text(report)
    return path
