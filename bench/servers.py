"""Starts the gateways under test, batchwire and its peers, and learns where they listen.

All say so in the same way: a JSON line on stderr with event "listening", `front` and `address`.
Must never leave one running when its block ends.
"""

import collections
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from . import go_build, rust_build
from .processes import ROOT
from .settings import CONNECTIONS, UPSTREAM_CONNECTIONS
from .upstream import Upstream

_START_SECONDS = 20.0


@dataclass(frozen=True)
class Gateway:
    """A running gateway; `addresses` maps front (grpc, rest) to host:port. `about`: what it says of itself."""

    name: str
    pid: int
    addresses: dict[str, str]
    about: str = ""

    def note(self) -> list[str]:
        """The line of a table's notes about it, if it has said anything."""
        return [f"{self.name}: {self.about}."] if self.about else []


@contextmanager
def batchwire(upstream: Upstream, front: str = "") -> Iterator[Gateway]:
    """batchwire with its defaults, one worker, in front of the upstream; front: native or grpcio."""
    program = str(Path(sys.executable).with_name("batchwire"))
    command = [program, "serve", "--upstream", upstream.url, "--root", "/"]
    command += ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json"]
    environment = {"BATCHWIRE_LISTEN__FRONT": front} if front else {}
    with _running("batchwire", command, {"grpc", "http"}, environment) as gateway:
        yield gateway


@contextmanager
def peer(upstream: Upstream) -> Iterator[Gateway]:
    """The same gateway on grpc.aio and aiohttp."""
    command = [sys.executable, "-m", "bench.peers.grpcio_aiohttp", "--upstream", upstream.url]
    command += ["--connections", str(CONNECTIONS)]
    with _running("grpc.aio + aiohttp", command, {"grpc"}) as gateway:
        yield gateway


@contextmanager
def go_peer(upstream: Upstream) -> Iterator[Gateway]:
    """The same gateway in Go, on grpc-go and net/http. Raises NotInstalled where it cannot be built."""
    command = [str(go_build.binary()), "-upstream", upstream.url]
    command += ["-connections", str(UPSTREAM_CONNECTIONS), "-in-flight", str(CONNECTIONS)]
    with _running("grpc-go + net/http", command, {"grpc"}) as gateway:
        yield gateway


@contextmanager
def rust_peer(upstream: Upstream) -> Iterator[Gateway]:
    """The same gateway in Rust, on tonic and hyper. Raises NotInstalled where it cannot be built."""
    command = [str(rust_build.binary()), "--upstream", upstream.url]
    command += ["--connections", str(UPSTREAM_CONNECTIONS), "--in-flight", str(CONNECTIONS)]
    with _running("tonic + hyper", command, {"grpc"}) as gateway:
        yield gateway


@contextmanager
def floor(upstream: Upstream) -> Iterator[Gateway]:
    """grpc.aio that answers at once and calls nothing; the upstream is not used."""
    command = [sys.executable, "-m", "bench.peers.grpcio_floor"]
    with _running("grpc.aio, no calls", command, {"grpc"}) as gateway:
        yield gateway


@contextmanager
def _running(
    name: str, command: list[str], fronts: set[str], environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Gateway]:
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_drain, args=(process, lines), daemon=True).start()
    try:
        addresses, about = _listening(name, lines, fronts)
        if "http" in addresses:
            addresses["rest"] = addresses.pop("http")
        yield Gateway(name, process.pid, addresses, about)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _drain(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    # Reads to the end: a gateway that logs into a full pipe would stand still.
    assert process.stderr is not None
    for line in process.stderr:
        lines.put(line)
    lines.put(None)


def _listening(name: str, lines: "queue.Queue[str | None]", fronts: set[str]) -> tuple[dict[str, str], str]:
    found: dict[str, str] = {}
    about = ""
    said: collections.deque[str] = collections.deque(maxlen=20)
    end = time.monotonic() + _START_SECONDS
    while found.keys() < fronts:
        try:
            line = lines.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            line = None
        if line is None:
            raise RuntimeError(f"{name} did not start: {''.join(said).strip()[-600:]}")
        said.append(line)
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") == "listening":
            found[entry["front"]] = entry["address"]
            about = entry.get("about", about)
    return found, about
