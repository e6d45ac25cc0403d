"""SIGTERM as clients of HTTP/2 see it: GOAWAY in two steps, what runs ends well, what is new is turned away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_messages import batch, execute, executed, reason, streamed
from h2.settings import SettingCodes
from harness import config, grpc_wire, rest
from harness.gateway import Gateway
from harness.grpc_wire import answer_of, call, head, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Gate, Reply, ScriptedUpstream

MAX_STREAM = (1 << 31) - 1
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]


@pytest.fixture
def own_gateway(_things: ScriptedUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that one test may end."""
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, listen={"grace_seconds": 15})
    with Gateway(settings, tmp_path) as running:
        yield running


@pytest.fixture
def gate(gate: Gate, upstream: ScriptedUpstream) -> Gate:
    upstream.on("GET", "/A")
    return gate


@pytest.mark.parametrize("kind", ["execute", "batch", "rest"])
def test_what_runs_ends_well_after_goaway(
    kind: str, own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    address = own_gateway.http_port if kind == "rest" else own_gateway.grpc_address
    with Http2Wire(address) as wire:
        if kind == "rest":
            stream = wire.open(request("POST", "/svc/$batch", JSON))
            wire.send(stream, rest.encode({"requests": [rest.get_call("1", "held")]}), end=True)
        else:
            stream = wire.open(head("Execute" if kind == "execute" else "Batch"))
            wire.send(stream, prefixed((execute if kind == "execute" else batch)("1", url="held")), end=True)
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        wire.wait(lambda: len(wire.goaways) == 2, "both steps of GOAWAY")
        first, last = wire.goaways
        # RFC 9113 6.8: the first loses no request that is on its way, the last says which were taken.
        assert (first.error_code, first.last_stream_id) == (0, MAX_STREAM)
        assert (last.error_code, last.last_stream_id) == (0, stream)
        assert not wire.heard[stream].ended
        gate.open()
        heard = wire.answer(stream)
        if kind == "rest":
            assert heard.status == 200
            assert b'"status":200' in heard.data
        elif kind == "execute":
            assert executed(answer_of(heard)) == {"1": 200}
        else:
            assert streamed(answer_of(heard)) == {"1": 200}
        wire.wait_closed()
    own_gateway.stop()


def test_a_slow_client_gets_the_whole_of_its_answer(
    own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """What it sends while it reads, after all has been written, must not cost it what it has not read."""
    body = b"z" * 3_000_000
    upstream.on("GET", "/large", Reply(200, [("Content-Type", "text/plain")], body, gate=gate))
    window = {SettingCodes.INITIAL_WINDOW_SIZE: 1 << 24}
    with Http2Wire(own_gateway.grpc_address, settings=window, receive_buffer=16384) as wire:
        wire.h2.increment_flow_control_window(1 << 24)
        stream = wire.open(head())
        wire.send(stream, prefixed(execute("1", url="large")), end=True)
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        wire.wait(lambda: len(wire.goaways) == 2, "both steps of GOAWAY")
        gate.open()
        wire.wait(lambda: bool(wire.heard[stream].data), "the beginning of the answer")
        own_gateway.wait(lambda: any(e.get("event") == "batch" for e in own_gateway.logs()), "the end of the batch")
        time.sleep(0.3)
        for n in range(3):
            wire.h2.increment_flow_control_window(1000)
            wire.flush_quietly()
            time.sleep(0.05 * n)
        assert executed(answer_of(wire.answer(stream))) == {"1": 200}
        assert len(wire.heard[stream].data) > len(body)
    own_gateway.stop()


def test_a_batch_that_goes_on_may_send_its_rest(own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    with Http2Wire(own_gateway.grpc_address) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, prefixed(batch("1", url="held")))
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        wire.wait(lambda: len(wire.goaways) == 2, "both steps of GOAWAY")
        wire.send(stream, prefixed(batch("2", first=False)), end=True)
        gate.open()
        assert streamed(answer_of(wire.answer(stream))) == {"1": 200, "2": 200}
    own_gateway.stop()


def test_new_calls_are_turned_away(own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """On a connection that is there: between the two steps a status, after them nothing, and no call starts."""
    with Http2Wire(own_gateway.grpc_address) as wire:
        running = wire.open(head("Batch"))
        wire.send(running, prefixed(batch("1", url="held")), end=True)
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        wire.wait(lambda: len(wire.goaways) == 1, "the first GOAWAY")
        answer = call(wire, head(), execute("1"))
        assert (answer.code, reason(answer)) == (grpc_wire.UNAVAILABLE, "Draining")
        wire.wait(lambda: len(wire.goaways) == 2, "the last GOAWAY")
        late = wire.open(head())
        wire.send(late, prefixed(execute("1")), end=True)
        gate.open()
        assert streamed(answer_of(wire.answer(running))) == {"1": 200}
        wire.wait_closed()
        assert wire.heard[late].headers == []
    assert upstream.lines == ["GET /held"]
    own_gateway.stop()


def test_new_connections_are_turned_away(own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    with Http2Wire(own_gateway.grpc_address) as wire:
        running = wire.open(head("Batch"))
        wire.send(running, prefixed(batch("1", url="held")), end=True)
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        own_gateway.wait(lambda: not own_gateway.ready(), "/readyz no longer 200")
        with Http2Wire(own_gateway.grpc_address) as late:
            answer = call(late, head(), execute("1"))
            assert (answer.code, reason(answer)) == (grpc_wire.UNAVAILABLE, "Draining")
        with Http2Wire(own_gateway.http_port) as late:
            heard = late.ask(request("POST", "/svc/$batch", JSON), rest.encode({"requests": [rest.get_call("1", "A")]}))
            assert heard.status == 503
            assert heard.header("connection") is None
            assert late.ask(request("GET", "/readyz")).status == 503
            assert late.ask(request("GET", "/healthz")).status == 200
        gate.open()
        assert streamed(answer_of(wire.answer(running))) == {"1": 200}
    assert upstream.lines == ["GET /held"]
    own_gateway.stop()


def test_idle_connections_are_told_and_closed(own_gateway: Gateway) -> None:
    wires = [Http2Wire(own_gateway.grpc_address) for _ in range(20)]
    for wire in wires:
        wire.wait(lambda wire=wire: wire.acknowledged, "the connection is there")
    own_gateway.stop(timeout=10)
    for wire in wires:
        wire.wait_closed()
        assert [goaway.error_code for goaway in wire.goaways][:1] == [0]
        wire.socket.close()
