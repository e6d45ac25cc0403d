"""A batch of 50,000 calls through a real gateway: every result once, in bounded memory, as a stream."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import config, grpc_client, rest
from harness.gateway import Gateway
from harness.scripted import Received, Reply, ScriptedUpstream

CALLS = 50_000
MESSAGE = 500
GROWTH = 32 << 20
STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
IDS = re.compile(rb'"id":"(\d+)","status":(\d+)')


@pytest.fixture(scope="module")
def large_gateway(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    routes = [{"root": "/svc/", "upstream": "things", "default": True, "streaming_threshold": 1048576}]
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes)
    with Gateway(settings, tmp_path_factory.mktemp("large")) as running:
        warm_up(running, _things)
        yield running


ANSWER = Reply(200, [("Content-Type", "application/json")], b'{"value":"0123456789012345678901234567890123456789"}')


class Counting:
    """Answers every call and counts it without keeping a log."""

    def __init__(self) -> None:
        self.calls = 0
        self.paths: set[str] = set()

    def __call__(self, call: Received) -> Reply:
        self.calls += 1
        self.paths.add(call.path)
        return ANSWER


def count_calls(upstream: ScriptedUpstream) -> Counting:
    counting = Counting()
    upstream.keep_log = False
    upstream.fallback = counting
    return counting


def warm_up(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Connections, buffers and gRPC threads of the gateway exist before memory is measured."""
    upstream.reset()
    count_calls(upstream)
    calls = [rest.get_call(str(n), f"W({n})") for n in range(500)]
    assert len(rest.post(gateway.http_port, {"requests": calls}).responses) == 500
    with grpc_client.Client(gateway.grpc_address) as client:
        made = [grpc_client.call(str(n), f"W({n})") for n in range(500)]
        assert (
            len(grpc_client.results_of(client.batch([grpc_client.message(*made, options=grpc_client.options())])))
            == 500
        )


class Peak(threading.Thread):
    """Watches the memory of the gateway until `stop()`, which gives the growth in bytes."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self._gateway = gateway
        self._done = threading.Event()
        self._before = gateway.rss()
        self._peak = self._before
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.1):
            self._peak = max(self._peak, self._gateway.rss())

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self._peak - self._before


def pieces(count: int) -> Iterator[bytes]:
    """The document of `count` calls, cut into pieces of 500 calls; the last piece closes it."""
    for start in range(0, count, MESSAGE):
        calls = b",".join(
            b'{"id":"%d","method":"get","url":"Things(%d)"}' % (n, n) for n in range(start, start + MESSAGE)
        )
        yield (b'{"requests":[' if start == 0 else b",") + calls
    yield b"]}"


class Sender(threading.Thread):
    """Sends the document in a thread; holds the last calls back until `finish` is set."""

    def __init__(self, wire: rest.Wire, finish: threading.Event) -> None:
        super().__init__(daemon=True)
        self._wire = wire
        self._finish = finish
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        *most, last, closing = pieces(CALLS)
        for piece in most:
            self._wire.chunk(piece)
        self._finish.wait(60)
        for piece in (last, closing, b""):
            self._wire.chunk(piece)
        self.done.set()


@pytest.mark.timeout(180)
def test_rest_streams_fifty_thousand_calls(large_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    counting = count_calls(upstream)
    peak = Peak(large_gateway)
    finish = threading.Event()
    seen = bytearray(CALLS)
    with rest.Wire(large_gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", STREAM)
        sender = Sender(wire, finish)
        assert wire.head().status == 200
        tail = b""
        while piece := wire.data():
            tail += piece
            end = 0
            for match in IDS.finditer(tail):
                assert match[2] == b"200"
                seen[int(match[1])] += 1
                end = match.end()
            tail = tail[max(end, len(tail) - 100) :]
            if not finish.is_set():
                assert not sender.done.is_set()
                assert counting.calls > 0
                assert f"/Things({CALLS - 1})" not in counting.paths
                finish.set()
        assert tail.endswith(b"]}")
    sender.join(10)
    growth = peak.stop()
    assert set(seen) == {1}
    assert counting.calls == len(counting.paths) == CALLS
    assert growth < GROWTH, f"{growth >> 20} MiB"
    large_gateway.wait_idle()


def messages(finish: threading.Event) -> Iterator[Any]:
    """The calls in messages of 500; the last one waits until `finish` is set."""
    for start in range(0, CALLS, MESSAGE):
        if start == CALLS - MESSAGE:
            finish.wait(60)
        calls = [grpc_client.call(str(n), f"Things({n})") for n in range(start, start + MESSAGE)]
        yield grpc_client.message(*calls, options=grpc_client.options() if start == 0 else None)


@pytest.mark.timeout(180)
def test_grpc_streams_fifty_thousand_calls(large_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    counting = count_calls(upstream)
    peak = Peak(large_gateway)
    finish = threading.Event()
    seen = bytearray(CALLS)
    last: Any = None
    with grpc_client.Client(large_gateway.grpc_address) as client:
        for last in client.stub.Batch(messages(finish), timeout=150):
            for result in last.results:
                assert result.status == 200
                seen[int(result.id)] += 1
            if not finish.is_set():
                assert counting.calls > 0
                assert f"/Things({CALLS - 1})" not in counting.paths
                finish.set()
    growth = peak.stop()
    assert set(seen) == {1}
    assert counting.calls == len(counting.paths) == CALLS
    assert (last.summary.calls, last.summary.succeeded) == (CALLS, CALLS)
    assert growth < GROWTH, f"{growth >> 20} MiB"
    large_gateway.wait_idle()


def stuck(progress: Callable[[], int]) -> int:
    """The progress when for two seconds nothing has moved."""
    still = threading.Event()
    before, same = -1, 0
    for _ in range(600):
        now = progress()
        same = same + 1 if now == before else 0
        if same >= 20:
            return now
        before = now
        still.wait(0.1)
    raise AssertionError(f"progress never stops, {before} now")


@pytest.mark.timeout(180)
def test_a_client_that_does_not_read_stops_the_reading(large_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The gateway reads no further, so the client's writing stops too; all goes on when it reads."""
    body = b'{"value":"' + b"z" * 2000 + b'"}'
    large = Reply(200, [("Content-Type", "application/json")], body)
    counting = count_calls(upstream)

    def answer(call: Received) -> Reply:
        counting(call)
        return large

    upstream.fallback = answer
    peak = Peak(large_gateway)
    finish = threading.Event()
    finish.set()
    with rest.Wire(large_gateway.http_port, timeout=60, receive_buffer=65536) as wire:
        wire.begin("POST", "/svc/$batch", STREAM)
        sender = Sender(wire, finish)
        ran = stuck(lambda: counting.calls)
        assert 0 < ran < CALLS
        assert wire.head().status == 200
        found = 0
        tail = b""
        while piece := wire.data():
            tail += piece
            found += tail.count(b'"status":200')
            tail = tail[-11:]
        assert found == CALLS
    sender.join(10)
    assert sender.done.is_set()
    assert peak.stop() < GROWTH
    large_gateway.wait_idle()


def test_the_gateway_ends_well_after_all_that(large_gateway: Gateway) -> None:
    """The log holds no traceback and the process ends with 0, see Gateway.stop."""
    large_gateway.stop()
    assert large_gateway.process.returncode == 0
