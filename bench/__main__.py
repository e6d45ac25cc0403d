"""`python -m bench [part ...]`: runs parts of the benchmark, prints the report and writes it to results/.

A part that cannot run says why in one line of the report; the others still run. Exit code 1 when a part
failed for another reason than a missing tool.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from . import (
    clients,
    dialects_part,
    front_part,
    gateway,
    json_part,
    latency,
    limit,
    machine,
    memory,
    multipart_part,
    report,
)
from .processes import ROOT
from .progress import say
from .settings import QUICK, Settings
from .table import Outcome, Table
from .upstream import NotInstalled, Upstream, nginx

Part = Callable[[Settings, Upstream], Outcome]

PARTS: dict[str, Part] = {
    "limit": limit.run,
    "gateway": gateway.run,
    "front": front_part.run,
    "clients": clients.run,
    "dialects": dialects_part.run,
    "latency": latency.run,
    "memory": memory.run,
}
"""Parts by name that call an upstream."""

ALONE: dict[str, Callable[[Settings], Outcome]] = {"json": json_part.run, "multipart": multipart_part.run}
"""Parts by name that need none."""


def _settings() -> tuple[Settings, str]:
    parser = argparse.ArgumentParser("python -m bench", description="Measures batchwire and its peers.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join([*PARTS, *ALONE])}; none: all")
    parser.add_argument("--rounds", type=int, help="windows of each measurement (default 5)")
    parser.add_argument("--seconds", type=float, help="length of a window (default 2)")
    parser.add_argument("--memory-calls", type=int, help="calls of the memory part's batch (default 1000000)")
    parser.add_argument("--quick", action="store_true", help="short windows, two rounds: not for quoting")
    parser.add_argument("--name", help="the report's file is <date>-<name>.md")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS and part not in ALONE]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; known: {', '.join([*PARTS, *ALONE])}")
    values: dict[str, Any] = dict(QUICK) if options.quick else {}
    values |= {
        name: value for name in ("rounds", "seconds", "memory_calls") if (value := getattr(options, name)) is not None
    }
    parts = tuple(options.parts) or (*PARTS, *ALONE)
    name = options.name or "-".join(options.parts or ["all"]) + ("-quick" if options.quick else "")
    return Settings(**values, parts=parts), name


def _note(part: str, text: str) -> Outcome:
    say(f"{part}: {text}")
    return Outcome([Table(f"Part {part}: left out", ["why"], [[text.replace("\n", " ").replace("|", "/")]])])


def _run(part: str, settings: Settings) -> Outcome:
    if part in ALONE:
        return ALONE[part](settings)
    with nginx() as upstream:
        return PARTS[part](settings, upstream)


def main() -> int:
    """Runs the parts asked for."""
    settings, name = _settings()
    about = machine.describe()
    total, failed = Outcome(), False
    for part in settings.parts:
        try:
            found = _run(part, settings)
        except NotInstalled as lack:
            found = _note(part, str(lack))
        except Exception as failure:
            failed = True
            found = _note(part, f"failed: {type(failure).__name__}: {failure}")
        total.tables += found.tables
        total.figures |= found.figures
    text = report.text(total, settings, sys.argv[1:], about)
    print(text)
    say(f"written to {report.write(text, name).relative_to(ROOT)} and bench/results/latest.md")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
