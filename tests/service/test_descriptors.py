"""No file descriptor is left: a log line and a counter say why new connections are closed (OP-22)."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path

from harness import config
from harness.gateway import Gateway

METRIC = "batchwire_descriptors_exhausted_total"


def test_OP_22_no_descriptor_is_left(tmp_path: Path) -> None:
    made = config.make({"dead": {"url": "http://127.0.0.1:9/"}}, [{"root": "/svc/", "upstream": "dead"}])
    with Gateway(made, tmp_path) as gateway, contextlib.ExitStack() as held:
        assert gateway.metrics()[METRIC] == 0
        pid = gateway.process.pid
        limit = max(int(name.name) for name in Path(f"/proc/{pid}/fd").iterdir()) + 4
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        for _ in range(limit):  # more than there is room for
            held.enter_context(socket.create_connection(("127.0.0.1", gateway.http_port)))
        gateway.wait(lambda: bool(told(gateway)), "a word in the log")
        with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=10) as turned_away:
            assert turned_away.recv(1) == b""
        assert (told(gateway)[0]["limit"], told(gateway)[0]["level"]) == (limit, "warning")
        held.close()
        gateway.wait(gateway.ready, "connections are taken again")
        assert gateway.metrics()[METRIC] >= 1
    assert len(told(gateway)) <= 2


def told(gateway: Gateway) -> list[dict[str, object]]:
    return [entry for entry in gateway.logs() if entry.get("event") == "no file descriptors left"]
