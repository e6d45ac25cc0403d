"""CPU time and memory of processes, and the children that measure and answer in JSON.

Must never end a process it did not start, nor count one that is not in the tree it was asked about.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parent.parent


class MeasurementFailed(Exception):
    """A measuring child ended badly; the message is the end of what it said."""


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children, in seconds (resolution 10 ms)."""
    times = [process.cpu_times() for process in _tree(pid)]
    return float(sum(time.user + time.system for time in times))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its living children, in bytes."""
    return int(sum(process.memory_info().rss for process in _tree(pid)))


class PeakMemory:
    """Samples the resident memory of a process tree while it is entered; `before` and `peak` in bytes."""

    def __init__(self, pid: int, every: float = 0.05) -> None:
        self._pid = pid
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.before = self.peak = 0

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self.peak = max(self.peak, resident_bytes(self._pid))

    def __enter__(self) -> Self:
        self.before = self.peak = resident_bytes(self._pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


def run_json(module: str, *arguments: object, timeout: float = 600) -> dict[str, Any]:
    """Runs `python -m module` and returns the JSON object in its last line of output.

    Raises MeasurementFailed with the child's last words when it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise MeasurementFailed(f"{module}: {done.stderr.strip()[-600:] or f'exit {done.returncode}'}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if not isinstance(answer, dict):
        raise MeasurementFailed(f"{module}: no JSON object in its last line")
    return answer
