"""A name server that never answers: other upstreams are reached, and the gateway ends at once (OP-19)."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from harness import config
from harness.batches import REST, Call, run_batch
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream

HERE = Path(__file__).parent


@pytest.mark.parametrize("workers", [1, 2])
def test_OP_19_a_stuck_lookup_holds_up_neither_calls_nor_the_end(
    workers: int, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = upstream.origin.rpartition(":")[2]
    upstreams = {
        "patch": {"app": "stuck_names:app"},
        "stuck": {"url": "http://dead.stuck.test/", "connect_timeout_seconds": 0.2},
        "good": {"url": f"http://localhost:{port}/"},
    }
    routes: list[config.Config] = [{"root": f"/{name}/", "upstream": name} for name in upstreams]
    upstream.on("GET", "/x")
    listen = {"workers": workers, "grace_seconds": 1, "stop_seconds": 10}
    monkeypatch.chdir(HERE)
    with Gateway(config.make(upstreams, routes, listen=listen), tmp_path) as gateway:
        for _ in range(3):
            results = run_batch(REST, gateway, [Call(str(n), "x") for n in range(40)], route="/stuck/")
            assert {result.status for result in results} == {502}
        assert {r.status for r in run_batch(REST, gateway, [Call("1", "x")], route="/good/")} == {200}
        parent = psutil.Process(gateway.process.pid)
        serving = [parent] if workers == 1 else parent.children()
        # The loop's and, where the stuck name was asked for, the lookup's.
        assert all(process.num_threads() <= 2 for process in serving)
        gateway.stop()
        events = [entry.get("event", str(entry)) for entry in gateway.logs()]
    assert events.count("stopped") == workers
    assert "ended by force" not in events
    assert not [event for event in events if "never retrieved" in event]


def test_OP_19_no_thread_stays_when_nothing_is_looked_up(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    port = upstream.origin.rpartition(":")[2]
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "good"}]
    upstream.on("GET", "/x")
    with Gateway(config.make({"good": {"url": f"http://localhost:{port}/"}}, routes), tmp_path) as gateway:
        assert [result.status for result in run_batch(REST, gateway, [Call("1", "x")])] == [200]
        process = psutil.Process(gateway.process.pid)
        gateway.wait(lambda: process.num_threads() == 1, "one thread")
