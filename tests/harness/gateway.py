"""A real `batchwire` process of its own for the tests: `serve` with a configuration, or `demo`.

The process listens on ports that the system gives; they are read from its JSON log. Stopping it
must show a clean exit and a log without a traceback, so that no test passes over a broken service.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from .config import Config, served, to_toml


class Gateway:
    """Starts in `__enter__`, stops in `__exit__` with the checks of `stop()`."""

    program = Path(sys.executable).with_name("batchwire")
    passed: tuple[int, ...] = ()
    """Descriptors that the process inherits."""
    environment: Mapping[str, str] = MappingProxyType({})
    """What it has beside this process's."""

    def __init__(self, config: Config, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        """tls: for the harness's own requests, where the listeners ask for it; may be replaced."""
        self.tls = tls
        self.config_file = folder / "gateway.toml"
        self.config_file.write_text(to_toml(config))
        self._prepare(["serve", "--config", str(self.config_file)])

    def _prepare(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._terminated = False
        self.http_address = self.grpc_address = ""
        self.http_port = 0  # where it is a UNIX socket

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the gateway has not been started"
        return self._process

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BATCHWIRE_")}
        self._process = subprocess.Popen(
            [str(self.program), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | self.environment,
            pass_fds=self.passed,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self.wait(self._listening, "both fronts listening", 60)
            self.wait(self.ready, "/readyz 200")
        except BaseException:
            self.kill()
            raise

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line.rstrip("\n"))

    def _listening(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n" + "\n".join(self._lines))
        found = {e["front"]: e["address"] for e in self.logs() if e.get("event") == "listening"}
        if "all" in found:  # one listener for both
            found = {"http": found["all"], "grpc": found["all"]}
        if not {"http", "grpc"} <= found.keys():
            return False
        self.http_address = found["http"]
        self.http_port = 0 if self.http_address.startswith("unix:") else int(self.http_address.rpartition(":")[2])
        self.grpc_address = found["grpc"]
        return True

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
        """Polls until the condition holds; fails with the log otherwise."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {timeout} s in vain for: {what}\n" + "\n".join(self._lines[-50:]))
            time.sleep(0.02)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a GET on the HTTP listener."""
        connection = self._connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.http_port, timeout=10, context=self.tls)
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        if self.http_address.startswith("unix:"):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(10)
            connection.sock.connect(self.http_address.removeprefix("unix:"))
        return connection

    def ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def logs(self) -> list[dict[str, Any]]:
        """The log as JSON objects; a line that is none comes as {"raw": line}."""
        entries: list[dict[str, Any]] = []
        for line in list(self._lines):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"raw": line}
            entries.append(entry if isinstance(entry, dict) else {"raw": line})
        return entries

    def metrics(self) -> dict[str, float]:
        """Samples of /metrics by name with labels, as in `name{label="value"}`."""
        status, text = self.get("/metrics")
        assert status == 200, text
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return found

    def in_flight(self) -> float:
        """The sum of all gauges of what is in flight; 0 when the gateway is idle."""
        gauges = {k: v for k, v in self.metrics().items() if "in_flight" in k.partition("{")[0]}
        assert gauges, "/metrics has no gauge of what is in flight"
        return sum(gauges.values())

    def wait_idle(self, timeout: float = 15.0) -> None:
        self.wait(lambda: self.in_flight() == 0, "nothing in flight", timeout)

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def fds(self) -> int:
        """Open file descriptors of the process and its children."""
        return sum(process.num_fds() for process in self._family())

    def rss(self) -> int:
        """Resident bytes of the process and its children."""
        return sum(int(process.memory_info().rss) for process in self._family())

    def cpu_seconds(self) -> float:
        """CPU time that the process and its children have taken."""
        return sum(sum(process.cpu_times()[:2]) for process in self._family())

    def terminate(self) -> None:
        self._terminated = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = 20.0) -> None:
        """Ends the process with SIGTERM and checks that it ended well."""
        if self.process.poll() is None and not self._terminated:
            self.terminate()  # once: a second signal ends a gateway at once
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the gateway did not end on SIGTERM:\n" + "\n".join(self._lines[-50:])) from None
        assert self._reader is not None
        self._reader.join(5)
        text = "\n".join(self._lines)
        assert code == 0, f"the gateway ended with {code}:\n{text[-5000:]}"
        assert "Traceback" not in text, f"a traceback in the log:\n{text[-8000:]}"

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


class Gateways:
    """A gateway with the same settings for each front of [listen], started when it is first asked for."""

    def __init__(self, settings: Config, new_folder: Callable[[], Path]) -> None:
        self._settings = settings
        self._new_folder = new_folder
        self._running: dict[str, Gateway] = {}

    def get(self, served_by: str) -> Gateway:
        if served_by not in self._running:
            gateway = Gateway(served(served_by, self._settings), self._new_folder())
            gateway.start()
            self._running[served_by] = gateway
        return self._running[served_by]

    def __enter__(self) -> Gateways:
        return self

    def __exit__(self, *why: Any) -> None:
        with ExitStack() as stops:
            for gateway in self._running.values():
                stops.push(gateway)


class Demo(Gateway):
    """`batchwire demo`, the gateway with the demo upstream in its process."""

    def __init__(self) -> None:
        self.tls = None
        self._prepare(["demo", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--log-format", "json"])
