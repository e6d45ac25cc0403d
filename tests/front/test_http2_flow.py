"""REST over HTTP/2 as a stream both ways in bounded memory, clients that stop halfway, and one listener for all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_messages import ROUTE, batch, document, execute, executed, reason
from harness import config, grpc_client, grpc_wire, rest
from harness.gateway import Gateway
from harness.grpc_wire import answer_of, call, head, prefixed
from harness.http2_wire import CANCEL, Http2Wire, request
from harness.scripted import Gate, Received, Reply, ScriptedUpstream, json_reply

STRICT = [("content-type", "application/json"), ("odata-version", "4.01")]
CALLS = 10_000
GROWTH = 24 << 20
IDS = re.compile(rb'"id":"(\d+)","status":200')
IDLE = 0.6


@pytest.fixture(scope="module")
def own_gateway(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose memory nobody else uses; it reads no document ahead."""
    routes = [{"root": "/svc/", "upstream": "things", "default": True, "streaming_threshold": 0}]
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes)
    with Gateway(settings, tmp_path_factory.mktemp("flow")) as running:
        _things.reset()
        _things.fallback = lambda _: json_reply({})
        calls = {"requests": [rest.get_call(str(n), "W") for n in range(500)]}
        with Http2Wire(running.http_port) as wire:
            assert wire.ask(request("POST", "/svc/$batch", STRICT), rest.encode(calls)).status == 200
        yield running


def test_a_batch_that_streams_both_ways(own_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Every result once; the first ones come before the last calls are sent."""
    upstream.keep_log = False
    upstream.fallback = lambda _: json_reply({"value": "0123456789" * 10})
    before = own_gateway.rss()
    peak = before
    pieces = [
        b",".join(b'{"id":"%d","method":"get","url":"T(%d)"}' % (n, n) for n in range(at, at + 100))
        for at in range(0, CALLS, 100)
    ]
    with Http2Wire(own_gateway.http_port) as wire:
        stream = wire.open(request("POST", "/svc/$batch", STRICT))
        heard = wire.heard[stream]
        wire.send(stream, b'{"requests":[')
        for n, piece in enumerate(pieces):
            if n == len(pieces) // 2:
                wire.wait(lambda: heard.data.count(b'"status":200') > 100, "results of the first half")
            wire.send(stream, (b"," if n else b"") + piece)
            peak = max(peak, own_gateway.rss())
        wire.send(stream, b"]}", end=True)
        wire.answer(stream, timeout=45)
        peak = max(peak, own_gateway.rss())
    assert (heard.ended, heard.status) == (True, 200)
    assert sorted(int(name) for name in IDS.findall(heard.data)) == list(range(CALLS))
    assert heard.data.endswith(b"]}")
    assert peak - before < GROWTH, f"{(peak - before) >> 20} MiB"
    own_gateway.wait_idle()


def test_a_client_that_does_not_read_stops_the_calls(own_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Its window is full: no more calls start; when it opens, all comes."""
    large = Reply(200, [("Content-Type", "text/plain")], b"z" * 20_000)

    def answer(_: Received) -> Reply:
        return large

    upstream.fallback = answer
    before = own_gateway.rss()
    calls = rest.encode({"requests": [rest.get_call(str(n), f"L({n})") for n in range(600)]})
    with Http2Wire(own_gateway.http_port, open_window=False) as wire:
        stream = wire.open(request("POST", "/svc/$batch", STRICT))
        wire.send(stream, calls, end=True)
        wire.wait(lambda: len(wire.heard[stream].data) == 65535, "the window is full")
        wire.listen(0.5)
        ran = len(upstream.log)
        assert ran < 300
        wire.listen(0.3)
        assert (len(upstream.log), len(wire.heard[stream].data)) == (ran, 65535)
        assert own_gateway.rss() - before < GROWTH
        wire.h2.increment_flow_control_window(1 << 26)
        wire.h2.increment_flow_control_window(1 << 26, stream)
        wire.flush()
        assert wire.answer(stream, timeout=30).data.count(b'"status":200') == 600
    own_gateway.wait_idle()


# --- clients that stop halfway


@pytest.fixture(scope="module")
def hasty(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose clients must not be idle for long."""
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, {"client_idle_seconds": IDLE})
    with Gateway(settings, tmp_path_factory.mktemp("hasty")) as running:
        yield running


@pytest.fixture
def gate(gate: Gate, upstream: ScriptedUpstream) -> Gate:
    upstream.on("GET", "/A")
    return gate


def test_half_a_rest_batch_is_408(hasty: Gateway, gate: Gate) -> None:
    with Http2Wire(hasty.http_port) as wire:
        stream = wire.open(request("POST", "/svc/$batch", STRICT))
        wire.send(stream, b'{"requests":[')
        heard = wire.answer(stream)
        assert heard.status == 408
        assert b"ClientIdle" in heard.data
        assert wire.ask(request("GET", "/healthz")).status == 200
    hasty.wait_idle()


def test_half_a_rest_batch_whose_answer_has_begun_is_reset(hasty: Gateway, gate: Gate) -> None:
    with Http2Wire(hasty.http_port) as wire:
        stream = wire.open(request("POST", "/stream/$batch", STRICT))
        wire.send(stream, b'{"requests":[{"id":"1","method":"get","url":"A"},')
        heard = wire.answer(stream)
        assert heard.status == 200
        assert (heard.ended, heard.reset is not None) == (False, True)
        assert wire.ask(request("GET", "/healthz")).status == 200
    hasty.wait_idle()


def test_a_batch_whose_calls_take_long_is_not_idle(hasty: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=3 * IDLE))
    document = rest.encode({"requests": [rest.get_call("1", "slow")]})
    with Http2Wire(hasty.http_port) as wire, Http2Wire(hasty.grpc_address) as rpc:
        stream = wire.open(request("POST", "/svc/$batch", STRICT))
        wire.send(stream, document, end=True)
        assert executed(call(rpc, head(), execute("1", url="slow"))) == {"1": 200}
        assert b'"status":200' in wire.answer(stream).data


@pytest.mark.parametrize("method", ["Execute", "Batch", "BatchJson"])
@pytest.mark.parametrize("data", [b"", b"\0\0\0\0\x20half"])
def test_a_call_without_its_first_message_ends(method: str, data: bytes, hasty: Gateway) -> None:
    """It has neither a deadline nor a batch, so nothing else would end it."""
    with Http2Wire(hasty.grpc_address) as wire:
        stream = wire.open(head(method))
        wire.send(stream, data)
        assert answer_of(wire.answer(stream)).code == grpc_wire.DEADLINE_EXCEEDED
        assert call(wire, head(path="/grpc.health.v1.Health/Check"), b"").code == grpc_wire.OK
    hasty.wait_idle()


def test_half_a_grpc_batch_is_told_so(hasty: Gateway, gate: Gate) -> None:
    """With its results and a status, as it is a client that reads."""
    with Http2Wire(hasty.grpc_address) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, prefixed(batch("1")))
        answer = answer_of(wire.answer(stream))
    assert (answer.code, reason(answer)) == (grpc_wire.DEADLINE_EXCEEDED, "ClientIdle")
    assert len(answer.messages) == 1
    hasty.wait_idle()


@pytest.mark.parametrize("kind", ["rest", "Execute", "Batch", "BatchJson"])
@pytest.mark.parametrize("calls", [1, 40])
def test_an_answer_that_is_not_taken_is_reset(
    kind: str, calls: int, hasty: Gateway, upstream: ScriptedUpstream
) -> None:
    """Whether its calls have all run, or wait for room; the connection and other streams go on."""
    upstream.on("GET", "/large", Reply(200, [("Content-Type", "text/plain")], b"z" * 1_000_000))
    upstream.on("GET", "/A")
    with Http2Wire(hasty.http_port if kind == "rest" else hasty.grpc_address, open_window=False) as wire:
        wire.h2.increment_flow_control_window(1 << 26)
        names = [str(n) for n in range(calls)]
        if kind == "rest":
            stream = wire.open(request("POST", "/svc/$batch", STRICT))
            wire.send(stream, rest.encode({"requests": [rest.get_call(name, "large") for name in names]}), end=True)
        else:
            make = {"Execute": execute, "Batch": batch, "BatchJson": document}[kind]
            stream = wire.open(head(kind, ROUTE))
            wire.send(stream, prefixed(make(*names, url="large")), end=True)
        heard = wire.answer(stream)
        assert (heard.ended, heard.reset, len(heard.data)) == (False, CANCEL, 65535)
        assert call(wire, head(), execute("1")).code == grpc_wire.OK
    hasty.wait_idle()


# --- one listener for all


def test_one_listener_for_all(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.on("GET", "/A")
    address = f"unix:{tmp_path}/all.sock"
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen = {"grpc": address, "http": address}
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path) as gateway:
        assert [entry["front"] for entry in gateway.logs() if entry.get("event") == "listening"] == ["all"]
        with Http2Wire(address) as wire:
            assert wire.ask(request("GET", "/readyz")).status == 200
            assert executed(call(wire, head(), execute("1"))) == {"1": 200}
        with grpc_client.Client(address) as client:
            [result] = grpc_client.results_of(
                client.batch([grpc_client.message(grpc_client.call("1", "A"), options=grpc_client.options())])
            )
            assert result.status == 200
        assert gateway.get("/healthz") == (200, "ok\n")
    assert not [entry for entry in gateway.logs() if entry.get("level") == "error"]
