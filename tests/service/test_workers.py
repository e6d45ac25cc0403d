"""Several workers and their parent: signals, deaths and the end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from batchwire.service import workers
from batchwire.service.config import Config
from batchwire.service.warden import SERVING
from harness import config, rest
from harness.batches import REST, Call, Result, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Gate, ScriptedUpstream, json_reply


class Group(Gateway):
    """A gateway whose processes are a process group of their own, as under a terminal."""

    def start(self) -> None:
        real = subprocess.Popen
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", lambda *words, **more: real(*words, **more, process_group=0))
            super().start()

    def signal_group(self, number: int) -> None:
        self._terminated = True
        os.killpg(self.process.pid, number)

    def workers(self) -> list[psutil.Process]:
        """Those that listen."""
        found = {entry["pid"] for entry in self.logs() if entry.get("event") == "listening"}
        return [child for child in psutil.Process(self.process.pid).children() if child.pid in found]


@pytest.fixture(params=[1, 2])
def group(request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Group]:
    running = Group(settings_for(upstream, request.param), tmp_path)
    running.start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def pair(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Group]:
    """Two workers, both listening."""
    running = Group(settings_for(upstream, 2), tmp_path)
    running.start()
    running.wait(lambda: len(running.workers()) == 2, "two workers")
    try:
        yield running
    finally:
        running.kill()


def settings_for(upstream: ScriptedUpstream, workers: int, **listen: Any) -> config.Config:
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen = {"workers": workers, "grace_seconds": 20, **listen}
    return config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen)


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    yield gate
    gate.open()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_OP_02_a_signal_to_the_whole_group_counts_once(
    sent: int, group: Group, upstream: ScriptedUpstream, gate: Gate
) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(REST, group, [Call("1", "held")])))
    thread.start()
    upstream.wait_for_calls(1)
    group.signal_group(sent)
    group.wait(lambda: any(entry.get("event") == "draining" for entry in group.logs()), "it drains")
    gate.open()
    thread.join()
    assert statuses(results) == {"1": 200}
    group.stop()


def test_OP_02_a_second_signal_ends_what_still_runs(group: Group, upstream: ScriptedUpstream, gate: Gate) -> None:
    with rest.Wire(group.http_port) as wire:
        body = rest.encode({"requests": [rest.get_call("1", "held")]})
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Content-Length": str(len(body))})
        wire.send(body)
        upstream.wait_for_calls(1)
        family = group._family()
        group.signal_group(signal.SIGINT)
        group.wait(lambda: any(entry.get("event") == "draining" for entry in group.logs()), "it drains")
        group.signal_group(signal.SIGINT)
        assert group.process.wait(10) == 1
        assert not psutil.wait_procs(family, 10)[1]
        assert wire.closed()


def test_OP_02_hanging_up_ends_nothing(group: Group) -> None:
    group.signal_group(signal.SIGHUP)
    group._terminated = False
    answer = rest.post(group.http_port, {"requests": [rest.get_call("1", "x")]})
    assert len(answer.responses) == 1
    group.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_OP_02_the_end_has_a_bound_whatever_an_app_does(
    workers: int, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that blocks the loop, so that nothing in it can end anything."""
    (tmp_path / "blocking_app.py").write_text(
        "import sys, time\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        print('it blocks', file=sys.stderr)\n"
        "        time.sleep(1000)\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = settings_for(upstream, workers, grace_seconds=0.3, stop_seconds=0.3)
    settings["upstreams"]["things"] = {"app": "blocking_app:app"}
    gateway = Group(settings, tmp_path)
    gateway.start()
    family = gateway._family()
    with rest.Wire(gateway.http_port) as wire:
        body = rest.encode({"requests": [rest.get_call("1", "x")]})
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Content-Length": str(len(body))})
        wire.send(body)
        gateway.wait(lambda: {"raw": "it blocks"} in gateway.logs(), "the app")
        gateway.signal_group(signal.SIGTERM)
        assert gateway.process.wait(20) == 1
    assert not psutil.wait_procs(family, 10)[1]


def test_OP_03_a_dead_worker_is_replaced_while_the_other_goes_on(pair: Group, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/x")
    before = pair.workers()
    for victim in before:
        victim.kill()
        psutil.wait_procs([victim], 10)
        others = [worker for worker in pair.workers() if worker.pid != victim.pid]
        assert others
        pair.wait(lambda: len(pair.workers()) == 2, "the new worker listens")
    assert not {worker.pid for worker in before} & {worker.pid for worker in pair.workers()}
    for _ in range(10):
        answer = rest.post(pair.http_port, {"requests": [rest.get_call("1", "x")]})
        assert [response["status"] for response in answer.responses] == [200]
    counted = 'batchwire_batches_total{ended="ok",front="rest",route="/svc/"}'
    pair.wait(lambda: pair.metrics()[counted] == 10, "the figures of both")
    assert sum(entry.get("event") == "worker died" for entry in pair.logs()) == 2
    pair.stop()


def test_OP_03_workers_that_end_when_told_alone_are_replaced_too(pair: Group) -> None:
    [first, _] = pair.workers()
    first.terminate()
    psutil.wait_procs([first], 10)
    pair.wait(lambda: len(pair.workers()) == 2, "the new worker listens")
    pair.stop()


def test_OP_03_workers_drain_and_end_with_a_dead_parent(pair: Group, upstream: ScriptedUpstream, gate: Gate) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(REST, pair, [Call("1", "held")])))
    thread.start()
    upstream.wait_for_calls(1)
    workers = pair.workers()
    pair.process.kill()
    assert len(psutil.wait_procs(workers, 10)[1]) == 1
    gate.open()
    thread.join()
    assert statuses(results) == {"1": 200}
    assert not psutil.wait_procs(workers, 10)[1]


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_OP_12_another_gateway_does_not_share_the_port(front: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Sockets with SO_REUSEPORT would, and half of the batches would go to the other."""
    upstream.on("GET", "/x")
    first = Group(settings_for(upstream, 2, front=front), tmp_path)
    first.start()
    first.wait(lambda: len(first.workers()) == 2, "two workers")
    for keys in ({"http": first.http_address}, {"grpc": first.grpc_address}):
        for count in (1, 2):
            (tmp_path / "other").mkdir(exist_ok=True)
            other = Group(settings_for(upstream, count, front=front, **keys), tmp_path / "other")
            with pytest.raises(RuntimeError) as caught:
                other.start()
            [address] = keys.values()
            assert "ended with 1:" in str(caught.value)
            assert f"{address} cannot be listened on: address already in use" in str(caught.value)
    answer = rest.post(first.http_port, {"requests": [rest.get_call("1", "x")]})
    assert [response["status"] for response in answer.responses] == [200]
    [victim, _] = first.workers()
    victim.kill()
    psutil.wait_procs([victim], 10)
    first.wait(lambda: len(first.workers()) == 2, "the new worker listens")
    first.stop()


def test_OP_12_nor_do_two_that_start_at_once(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{chosen.getsockname()[1]}"
    both = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        both.append(Gateway(settings_for(upstream, 2, http=address), tmp_path / name))
    ended: list[str] = []

    def start(gateway: Gateway) -> None:
        try:
            gateway.start()
        except RuntimeError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=start, args=(gateway,)) for gateway in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        [words] = ended
        assert f"{address} cannot be listened on: address already in use" in words
    finally:
        for gateway in both:
            gateway.kill()


@pytest.mark.parametrize("front", ["native", "grpcio"])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 2), (2, 1)])
def test_OP_12_a_port_is_free_at_once_when_its_gateway_has_ended(
    before: int, after: int, front: str, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """Connections that the gateway has closed keep the port for a minute, but from no listener."""
    first = Group(settings_for(upstream, before, front=front), tmp_path)
    first.start()
    with socket.create_connection(("127.0.0.1", first.http_port), 10) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while client.recv(4096):
            pass
    addresses = {"http": first.http_address, "grpc": first.grpc_address}
    first.stop()
    second = Group(settings_for(upstream, after, front=front, **addresses), tmp_path)
    second.start()
    assert second.http_address == first.http_address
    second.stop()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_OP_03_a_signal_while_workers_start_leaves_nothing_behind(
    sent: int, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Group(settings_for(upstream, 2), tmp_path)
    monkeypatch.setattr(gateway, "ready", lambda: True)
    monkeypatch.setattr(gateway, "_listening", lambda: len(psutil.Process(gateway.process.pid).children()) == 3)
    gateway.start()
    family = gateway._family()
    gateway.signal_group(sent)
    gateway.stop()
    assert not psutil.wait_procs(family, 10)[1]


def test_OP_16_closed_standard_descriptors_are_nobody_elses(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """What the process opens next would get their numbers, and whatever writes to standard error would reach it."""
    path = tmp_path / "gateway.toml"
    path.write_text(config.to_toml(settings_for(upstream, 1)))
    words = f"exec {sys.executable} -m batchwire.service serve --config {path} <&- >&- 2>&-"
    process = psutil.Popen(["/bin/sh", "-c", words])
    try:
        found: list[str] = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                found = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
                if process.net_connections():
                    break
            time.sleep(0.05)
        assert found == [os.devnull] * 3
        process.terminate()
        assert process.wait(20) == 0
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize(("hard", "told"), [(256, True), (4096, False)])
def test_OP_16_the_limit_of_descriptors_is_raised_or_told(
    hard: int, told: bool, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen
    limited = ["prlimit", f"--nofile=128:{hard}"]
    monkeypatch.setattr(subprocess, "Popen", lambda words, **more: real([*limited, *words], **more))
    with Gateway(settings_for(upstream, 1), tmp_path) as gateway:
        assert psutil.Process(gateway.process.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)
        lines = [entry for entry in gateway.logs() if entry.get("event") == "few file descriptors"]
        assert [(entry["limit"], entry["wanted"] > 1000) for entry in lines] == ([(hard, True)] if told else [])


def _ends() -> None:
    """A worker that is gone at once."""


def _stays() -> None:
    time.sleep(600)


def a_worker(target: Any, *words: str) -> tuple[workers._Worker, Any]:
    """A child that runs this, and what it has said, unheard; with its end of the pipe."""
    worker = workers._Worker.__new__(workers._Worker)
    context = multiprocessing.get_context("spawn")
    worker.ear, theirs = context.Pipe()
    worker.process = context.Process(target=target)
    worker.began, worker.served, worker.silent, worker.complaint = time.monotonic(), False, False, ""
    worker.process.start()
    for word in words:
        theirs.send(word)
    return worker, theirs


@pytest.mark.parametrize("serves", [True, False])
def test_OP_03_one_that_dies_before_it_serves_is_replaced_where_another_serves(
    serves: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The word of the one that serves has not been heard when the death of the other is seen. Where none serves, that
    ends the gateway, with what the worker said."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    supervisor = workers._Supervisor(Config(), None)
    (dead, mouth), (alive, other) = a_worker(_ends, "no app"), a_worker(_stays, *([SERVING] if serves else []))
    supervisor._workers = [dead, alive]
    try:
        dead.process.join(60)
        supervisor._bury()
        assert supervisor._workers == [alive]
        assert (len(supervisor._due), supervisor._failed, supervisor._complaint) == (
            (1, False, "") if serves else (0, True, "no app")
        )
    finally:
        mouth.close()
        other.close()
        alive.process.kill()
        alive.process.join(60)
