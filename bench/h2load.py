"""h2load as generator of one request again and again, over HTTP/2 or HTTP/1.1. It runs and parses h2load, no more.

h2load reads no answer, and gRPC reports failure behind status 200: so the size of the answers is checked
against that of one that is known to be right.
"""

import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .processes import cpu_seconds
from .upstream import require

# Times in an answer are varints, so right answers differ by some bytes a result.
_LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Request:
    """What is sent, and how many bytes of data a right answer to it has."""

    url: str
    body: bytes
    headers: Sequence[tuple[str, str]]
    answer_bytes: int
    http1: bool = False


@dataclass(frozen=True)
class Load:
    """Connections, and requests at once on each."""

    connections: int
    streams: int

    @property
    def at_once(self) -> int:
        return self.connections * self.streams


def program() -> str:
    """The path of h2load; raises NotInstalled."""
    return require("h2load", "nghttp2-client")


def measure(request: Request, load: Load, seconds: float, gateway_pid: int) -> dict[str, Any]:
    """Warms up for a third of the window, then measures it.

    Returns requests_per_second, cpu_us (gateway, a request), generator_us. Raises RuntimeError when a request failed.
    """
    with tempfile.NamedTemporaryFile(prefix="batchwire-bench-") as body:
        body.write(request.body)
        body.flush()
        _run(request, load, seconds / 3, body.name)
        before, own = cpu_seconds(gateway_pid), _children()
        text = _run(request, load, seconds, body.name)
        spent, own = cpu_seconds(gateway_pid) - before, _children() - own
    found = parse(text)
    done = found["done"]
    if not done or found["succeeded"] != done or found["failed"] or found["errored"]:
        raise RuntimeError(f"h2load reports failed requests:\n{text}")
    if found["data"] < done * request.answer_bytes * _LEAST_SHARE:
        raise RuntimeError(f"answers are too short ({found['data'] / done:.0f} bytes each): {request.url}")
    return {
        "requests_per_second": done / seconds,
        "cpu_us": spent / done * 1e6,
        "generator_us": own / done * 1e6,
    }


def _run(request: Request, load: Load, seconds: float, body: str) -> str:
    command = [program(), "-t1", f"-c{load.connections}", f"-m{load.streams}", f"-D{round(seconds * 1000)}ms"]
    command += ["--h1"] if request.http1 else []
    for name, value in request.headers:
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        [*command, "-d", body, request.url], capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"h2load: {done.stderr.strip()[-400:]}")
    return done.stdout


def parse(text: str) -> dict[str, int]:
    """Counts of requests (done, succeeded, failed, errored), and bytes of data in the answers."""
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    data = re.search(r"\((\d+)\) data", text)
    if counts is None or data is None:
        raise RuntimeError(f"h2load says nothing of its requests:\n{text}")
    names = ("done", "succeeded", "failed", "errored")
    return dict(zip(names, map(int, counts.groups()), strict=True)) | {"data": int(data[1])}


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
