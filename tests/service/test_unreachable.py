"""One log line says at which upstream connecting fails, and why; what finds no room is counted in the next (OP-18)."""

from __future__ import annotations

import contextlib
import importlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import config
from harness.batches import REST, Call, run_batch
from harness.certificates import Authority
from harness.gateway import Gateway

LINE = "an upstream cannot be reached"


@contextlib.contextmanager
def untrusted(folder: Path) -> Iterator[int]:
    """The port of a TLS server whose CA nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = Authority(folder, "unknown").issue()
    context.load_cert_chain(pair.cert, pair.key)

    def serve() -> None:
        with contextlib.suppress(OSError):  # ends when the listener is closed
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def lines_of(gateway: Gateway) -> list[dict[str, Any]]:
    return [entry for entry in gateway.logs() if entry.get("event") == LINE]


def test_OP_18_an_upstream_that_cannot_be_reached_is_named_with_the_reason(tmp_path: Path) -> None:
    with untrusted(tmp_path) as port:
        urls = {
            "refused": "http://127.0.0.1:9/",
            "tls": f"https://127.0.0.1:{port}/",
            "name": "http://no-such-host.invalid/",
            "socket": f"unix:{tmp_path}/none.sock",
        }
        routes: list[config.Config] = [{"root": f"/{name}/", "upstream": name} for name in urls]
        made = config.make({name: {"url": url} for name, url in urls.items()}, routes)
        with Gateway(made, tmp_path) as gateway:
            for name in ("refused", "refused", "refused", "tls", "name", "socket"):
                [result] = run_batch(REST, gateway, [Call("1", "x")], route=f"/{name}/")
                assert result.status == 502
            gateway.wait(lambda: len(lines_of(gateway)) == 4, "a line of each")
            told = lines_of(gateway)
        gateway.stop()
        rest = lines_of(gateway)[4:]
    assert [(entry["upstream"], entry["reason"], entry["untold"]) for entry in rest] == [
        ("refused", "Connection refused", 1)
    ]
    assert [entry["upstream"] for entry in told] == ["refused", "tls", "name", "socket"]
    assert {entry["level"] for entry in told} == {"warning"}
    assert [entry["address"] for entry in told] == [
        "127.0.0.1:9", f"127.0.0.1:{port}", "no-such-host.invalid:80", f"unix:{tmp_path}/none.sock"
    ]  # fmt: skip
    reasons = [entry["reason"] for entry in told]
    assert reasons[0] == "Connection refused"
    assert "certificate verify failed" in reasons[1]
    assert reasons[2]
    assert reasons[3] == "No such file or directory"


class Timers:
    """In place of the loop: the timers that run, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.running: list[Timers.Timer] = []

    class Timer:
        def __init__(self, timers: Timers, when: float, what: Callable[[], None]) -> None:
            self.timers, self.when, self.what = timers, when, what

        def cancel(self) -> None:
            if self in self.timers.running:
                self.timers.running.remove(self)

    def call_later(self, seconds: float, what: Callable[[], None]) -> Timer:
        self.running.append(Timers.Timer(self, self.now + seconds, what))
        return self.running[-1]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.running if timer.when <= self.now]:
            self.running.remove(timer)
            timer.what()


def test_OP_18_a_line_each_ten_seconds_and_the_rest_counted(caplog: pytest.LogCaptureFixture) -> None:
    module: Any = importlib.import_module("batchwire.core.scarce_log")
    timers = Timers()
    log = module.ScarceLog("an upstream cannot be reached", timers, lambda: timers.now, upstream="things")

    def told() -> list[tuple[str, str, int | None]]:
        records = [vars(record) for record in caplog.records]
        caplog.clear()
        return [(one["upstream"], one["address"], one.get("untold")) for one in records]

    with caplog.at_level(logging.WARNING, "batchwire.core"):
        log.add(address="h:1", reason="Connection refused")
        assert told() == [("things", "h:1", None)]
        assert not timers.running  # nothing to tell
        for number in range(500):
            log.add(address=f"h:{number}", reason="Connection refused")
        timers.pass_time(module.LINE_SECONDS - 0.01)
        assert (told(), len(timers.running)) == ([], 1)
        timers.pass_time(0.02)
        assert told() == [("things", "h:499", 499)]
        assert not timers.running
        log.add(address="h:2", reason="it took too long")
        timers.pass_time(module.LINE_SECONDS)
        assert told() == [("things", "h:2", None)]
        timers.pass_time(module.LINE_SECONDS)
        log.add(address="h:3", reason="it took too long")
        log.add(address="h:4", reason="it took too long")
        assert told() == [("things", "h:3", None)]
        log.tell_rest()
        assert (told(), timers.running) == ([("things", "h:4", None)], [])
        timers.pass_time(module.LINE_SECONDS)
        log.tell_rest()
        assert told() == []
