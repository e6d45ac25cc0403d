"""What systemd gives and is told (OP-28), from a process that does what systemd does."""

from __future__ import annotations

import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import config, rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})
FIELDS = {"Content-Type": "application/json", "OData-Version": "4.01", "Connection": "close"}
LAUNCHER = """#!{python}
import os, sys
os.dup2(int(os.environ["TEST_PASSED"]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


@pytest.fixture
def things() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        upstream.on("GET", "/A")
        yield upstream


def settings(things: ScriptedUpstream, **listen: Any) -> config.Config:
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    return config.make({"things": {"url": things.origin + "/"}}, routes, listen={"grace_seconds": 5, **listen})


class Passed(Gateway):
    """Has a socket from its parent, called `web`."""

    def __init__(self, sock: socket.socket, things: ScriptedUpstream, folder: Path, **listen: Any) -> None:
        folder.mkdir()
        super().__init__(settings(things, grpc="systemd:web", http="systemd:web", **listen), folder)
        self.program = folder / "launcher"
        self.program.write_text(LAUNCHER.format(python=sys.executable, program=str(Gateway.program)))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self.passed = (sock.fileno(),)
        self.environment = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "TEST_PASSED": str(sock.fileno())}


@pytest.fixture
def opened() -> Iterator[socket.socket]:
    """As systemd opens it, and keeps it open."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        yield sock


class Clients:
    """Send batches one after the other, each on a connection of its own; count what did not succeed."""

    def __init__(self, port: int, count: int = 4) -> None:
        self.port = port
        self.answered = 0
        self.failed: list[object] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(count)]

    def _send(self) -> None:
        while not self._end.is_set():
            try:
                answer = rest.request(self.port, "POST", "/svc/$batch", FIELDS, BATCH)
                assert [one["status"] for one in answer.responses] == [200]
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.failed.append(error)

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("overlap", [True, False])
def test_OP_28_restarts_on_a_socket_of_systemd_lose_nothing(
    opened: socket.socket, things: ScriptedUpstream, tmp_path: Path, overlap: bool
) -> None:
    """Whether the next begins before the last has ended, or after: connections wait in the socket meanwhile."""
    running = Passed(opened, things, tmp_path / "0", drain_delay_seconds=0.5)
    running.start()
    assert running.http_port == opened.getsockname()[1]
    with Clients(running.http_port) as clients:
        for n in range(3):
            following = Passed(opened, things, tmp_path / str(n + 1), drain_delay_seconds=0.5)
            if overlap:
                following.start()
                running.stop()
            else:
                running.stop()
                following.start()
            running = following
            before = clients.answered
            running.wait(lambda before=before: clients.answered > before + 20, "batches by the new one")
    running.stop()
    assert clients.failed == []


def test_OP_28_a_socket_that_was_not_passed_is_named(things: ScriptedUpstream, tmp_path: Path) -> None:
    gateway = Gateway(settings(things, http="systemd:web", grpc=""), tmp_path)
    with pytest.raises(RuntimeError, match=r"systemd:web cannot be listened on: .*\(passed: none\)"):
        gateway.start()


@pytest.mark.parametrize("workers", [1, 2])
def test_OP_28_systemd_is_told_when_it_serves_and_when_it_begins_to_end(
    things: ScriptedUpstream, tmp_path: Path, workers: int
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(20)
        gateway = Gateway(settings(things, workers=workers, stop_seconds=7), tmp_path)
        gateway.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with gateway:
            assert told.recv(1000) == b"READY=1"
            gateway.terminate()
            word, more = told.recv(1000).split(b"\n")
            assert word == b"STOPPING=1"
            name, seconds = more.split(b"=")
            assert name == b"EXTEND_TIMEOUT_USEC"
            assert 12 <= int(seconds) / 1e6 <= 20  # grace, stop, and a little
        told.setblocking(False)
        with pytest.raises(BlockingIOError):
            told.recv(1000)


def test_OP_28_what_sockets_of_systemd_need_is_said(things: ScriptedUpstream, tmp_path: Path) -> None:
    for more, why in (({"workers": 2}, "workers must be 1"), ({"front": "grpcio"}, "needs the native front")):
        gateway = Gateway(settings(things, http="systemd:web", grpc="", **more), tmp_path)
        with pytest.raises(RuntimeError, match=why):
            gateway.start()
