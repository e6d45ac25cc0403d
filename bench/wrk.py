"""wrk against the same nginx: the most calls this machine can exchange one by one. It parses wrk, no more."""

import re
import resource
import subprocess

from .processes import cpu_seconds
from .upstream import Upstream, require


def measure(upstream: Upstream, connections: int, seconds: float) -> dict[str, float]:
    """One run of wrk with one thread.

    Returns calls_per_second, cpu_us (wrk's own, a call), upstream_us (nginx, a call), p50_ms, p99_ms.
    Raises NotInstalled when wrk is missing, RuntimeError when a call failed.
    """
    program = require("wrk", "wrk")
    # wrk takes whole seconds only.
    whole = max(1, round(seconds))
    command = [program, "-t1", f"-c{connections}", f"-d{whole}s", "--latency", f"{upstream.url}things/1"]
    before, upstream_before = _children(), cpu_seconds(upstream.pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    own, nginx = _children() - before, cpu_seconds(upstream.pid) - upstream_before
    text = done.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk reports failed calls:\n{text}")
    calls = float(_find(r"(\d+) requests in", text))
    return {
        "calls_per_second": float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        "cpu_us": own / calls * 1e6,
        "upstream_us": nginx / calls * 1e6,
        "p50_ms": _milliseconds(_find(r"50%\s+(\S+)", text)),
        "p99_ms": _milliseconds(_find(r"99%\s+(\S+)", text)),
    }


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said nothing like {pattern}:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
