"""The upstream of every measurement: nginx, one process, on a loopback port, in a temporary folder.

It answers each GET with a fixed JSON object. Calls under /mark/ are logged with the time they came, so
that a measurement can tell when a certain call reached the upstream. Must never listen off loopback.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BODY = '{"name":"Anvil","price":125,"currency":"EUR","stock":40,"tags":["iron","heavy"],"discontinued":false}'

_CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; keepalive_time 24h;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp;
    scgi_temp_path temp; default_type application/json;
    log_format mark '$uri $msec $request_time';
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ return 200 '{body}'; }}
        location /mark/ {{ access_log marks.log mark; return 200 '{body}'; }}
    }}
}}
"""


class NotInstalled(Exception):
    """A tool that a measurement needs is not on this machine; the message says which, in one line."""


def find_tool(tool: str) -> str | None:
    """The path of a tool, also where servers and Go are put and the search path of a person may not lead."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin:/usr/local/go/bin")


def require(tool: str, package: str) -> str:
    """The path of a tool; raises NotInstalled, naming the Debian package that has it."""
    found = find_tool(tool)
    if found is None:
        raise NotInstalled(f"{tool} is not installed (Debian/Ubuntu: apt-get install {package})")
    return found


@dataclass(frozen=True)
class Upstream:
    """The running nginx."""

    port: int
    pid: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def marks(self) -> dict[str, float]:
        """Path under /mark/ -> Unix time at which nginx began to read the call (resolution 1 ms)."""
        lines = (self.folder / "marks.log").read_text().splitlines()
        rows = [line.split() for line in lines]
        return {path.removeprefix("/mark/"): float(at) - float(took) for path, at, took in rows}

    def forget_marks(self) -> None:
        """Empties the log of marks."""
        (self.folder / "marks.log").write_text("")


def free_port() -> int:
    """A loopback TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx() -> Iterator[Upstream]:
    """Starts nginx and ends it. Raises NotInstalled, or RuntimeError when it does not come up."""
    program = require("nginx", "nginx-light")
    with tempfile.TemporaryDirectory(prefix="batchwire-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "temp").mkdir()
        (folder / "nginx.conf").write_text(_CONFIGURATION.format(port=port, body=BODY))
        process = subprocess.Popen(
            [program, "-p", name, "-e", "stderr", "-c", "nginx.conf"], stderr=subprocess.PIPE, text=True
        )
        try:
            _wait_for(port, process)
            yield Upstream(port, process.pid, folder)
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(f"nginx ended: {process.stderr.read().strip()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.025)
    raise RuntimeError("nginx did not come up within 5 s")
