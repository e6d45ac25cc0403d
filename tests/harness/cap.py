"""A real OData server for the tests: SAP CAP with SQLite in memory, transactions included.

SQLite runs as WebAssembly and no install script is run: nothing is compiled, nothing is fetched but what
package-lock.json names. The server listens on the loopback only.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from .environments import EnvironmentFailure, node_environment

SOURCES = Path(__file__).resolve().parents[1] / "clients" / "cap"
ROOT = "/odata/v4/catalog/"
INSTALL = 600  # seconds for the first test that needs the server
START_SECONDS = 60


def demand_node() -> None:
    """Skips the test when node or npm is missing; where CI is true, that is a failure."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if not missing:
        return
    why = f"SAP CAP needs {' and '.join(missing)} on the PATH (Node.js 20 or later)"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def installed() -> Path:
    """The folder of the installed project."""
    try:
        return node_environment(SOURCES)
    except EnvironmentFailure as failure:
        pytest.fail(f"the CAP test server cannot be installed: {failure}")


class Cap:
    """The server as a process of its own; a context manager. root: path of its service, "/" at both ends."""

    root = ROOT

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._told = threading.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Cap:
        demand_node()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CDS_", "PORT", "WORKERS"))}
        environment["NO_COLOR"] = "1"
        self._process = subprocess.Popen(
            ["node", "node_modules/@sap/cds/bin/serve.js", "all", "--from", str(SOURCES / "srv"), "--in-memory"],
            cwd=installed(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self._told.wait(START_SECONDS)
        if not self.port:
            self.__exit__()
            pytest.fail("the CAP test server did not start:\n" + "\n".join(self._lines[-20:]))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.append(line.rstrip("\n"))
            del self._lines[:-200]
            if line.startswith("listening on port "):
                self.port = int(line.split()[-1])
                self._told.set()
        self._told.set()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """One request, without the gateway; path below the service root. Returns status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, self.root + path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def keys(self, entity: str) -> set[int]:
        """The IDs that are in the database now."""
        status, _, body = self.send("GET", f"{entity}?$select=ID")
        assert status == 200
        return {row["ID"] for row in json.loads(body)["value"]}

    def row(self, path: str) -> dict[str, Any]:
        status, _, body = self.send("GET", path)
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def clear(self) -> None:
        """Empties the database."""
        for entity in ("Orders", "Books"):
            for key in self.keys(entity):
                assert self.send("DELETE", f"{entity}({key})")[0] == 204
