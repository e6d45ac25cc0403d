"""Part `limit`: what this machine can do at best. wrk and the bare client against the same nginx."""

from . import wrk
from .processes import run_json
from .progress import say
from .settings import CONNECTIONS, Settings
from .table import Outcome, Sample, Table, median, number, spread
from .upstream import NotInstalled, Upstream

STEADY = 20_000
"""Calls of a batch so large that its start and end do not show."""

Key = tuple[str, int, int]


def bare(upstream: Upstream, connections: int, calls: int, seconds: float) -> Sample:
    """One window of the bare client, in batches of `calls`, in a process of its own."""
    options = ["--port", upstream.port, "--upstream-pid", upstream.pid, "--connections", connections]
    return run_json("bench.bare.run", *options, "--calls", calls, "--seconds", seconds)


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """wrk, then the bare client in batches and in a steady stream, at 16 and 64 connections."""
    samples: dict[Key, list[Sample]] = {}
    missing: list[str] = []
    for turn in range(settings.rounds):
        say(f"limit: round {turn + 1} of {settings.rounds}")
        for connections in (16, CONNECTIONS):
            try:
                sample = wrk.measure(upstream, connections, settings.seconds)
                samples.setdefault(("wrk", connections, 0), []).append(sample)
            except NotInstalled as lack:
                missing = [f"The rows of wrk are left out: {lack}."]
            for calls in (*settings.bare_sizes, STEADY):
                key = ("bare", connections, calls)
                samples.setdefault(key, []).append(bare(upstream, connections, calls, settings.seconds))
    return Outcome([_table(samples, missing)])


def _table(samples: dict[Key, list[Sample]], notes: list[str]) -> Table:
    names = {"wrk": "wrk (C, one thread)", "bare": "bare Cython client on uvloop"}
    table = Table(
        "The limit: calls one by one over keep-alive connections",
        ["client", "connections", "calls a batch", "calls/s", "CPU µs a call", "nginx µs a call"],
        notes=notes,
    )
    for (client, connections, calls), rounds in sorted(samples.items(), reverse=True):
        batch = "no batches" if not calls else "steady" if calls == STEADY else f"{calls:,}"
        table.rows.append(
            [
                names[client],
                str(connections),
                batch,
                number(median(rounds, "calls_per_second")),
                spread(rounds, "cpu_us"),
                number(median(rounds, "upstream_us")),
            ]
        )
    return table
