"""SIGTERM with listen.drain_delay_seconds (OP-27): health says no at once, and whoever still comes is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from batch_messages import execute, executed
from batchwire.v1 import batch_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.grpc_wire import call, head
from harness.http2_wire import Http2Wire, request
from harness.scripted import Gate, ScriptedUpstream

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]


WAYS: dict[str, dict[str, Any]] = {
    "native": {},
    "grpcio": {"front": "grpcio"},
    "two workers": {"workers": 2},
}


@pytest.fixture(params=WAYS)
def retiring(new_gateway: Callable[..., Gateway], request: Any) -> Gateway:
    """One of each, which a test may end."""
    return new_gateway(drain_delay_seconds=4, **WAYS[request.param])


def told(gateway: Gateway, event: str) -> list[dict[str, Any]]:
    return [entry for entry in gateway.logs() if entry.get("event") == event]


def ask(wire: rest.Wire) -> rest.Answer:
    wire.begin("POST", "/svc/$batch", [("Content-Length", str(len(BATCH))), *JSON])
    wire.send(BATCH)
    return wire.answer()


def healthy(address: str) -> int:
    with grpc_client.channel(address) as channel:
        return int(health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status)


def test_OP_27_who_comes_before_the_delay_is_over_is_served(retiring: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with rest.Wire(retiring.http_port) as before, rest.Wire(retiring.http_port) as silent:
        assert ask(before).header("connection") is None
        assert ask(silent).responses
        retiring.terminate()
        retiring.wait(lambda: not retiring.ready(), "/readyz no longer 200")
        retiring.wait(lambda: bool(told(retiring, "retiring")), "its log line")
        assert retiring.get("/healthz")[0] == 200
        assert healthy(retiring.grpc_address) == NOT_SERVING
        answer = ask(before)
        assert [one["status"] for one in answer.responses] == [200]
        assert answer.header("connection") == "close"
        assert before.closed()
        with rest.Wire(retiring.http_port) as later:
            answer = ask(later)
            assert [one["status"] for one in answer.responses] == [200]
            assert answer.header("connection") == "close"
        with grpc_client.Client(retiring.grpc_address) as client:
            answer = client.execute(batch_pb2.ExecuteRequest.FromString(execute("1")))
            assert [one.status for one in answer.results] == [200]
        assert not told(retiring, "draining")
        assert ask(silent).responses  # an idle connection is not closed under a request that is on its way
    retiring.stop()
    assert told(retiring, "draining")


def test_OP_27_connections_of_http2_are_sent_away_and_new_ones_served(
    new_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A")
    running = new_gateway(drain_delay_seconds=4)
    with Http2Wire(running.grpc_address) as wire:
        assert executed(call(wire, head(), execute("1"))) == {"1": 200}
        running.terminate()
        wire.wait(lambda: len(wire.goaways) == 1, "the first GOAWAY")
        assert executed(call(wire, head(), execute("1"))) == {"1": 200}
        wire.wait(lambda: len(wire.goaways) == 2, "the last GOAWAY")
        wire.wait_closed()
        with Http2Wire(running.grpc_address) as later:
            assert executed(call(later, head(), execute("1"))) == {"1": 200}
            assert later.ask(request("POST", "/svc/$batch", JSON), BATCH).status == 200
            assert not later.goaways
            later.wait(lambda: bool(later.goaways), "GOAWAY when the delay is over")
    running.stop()


def test_OP_27_a_second_signal_ends_the_delay_at_once(retiring: Gateway) -> None:
    retiring.terminate()
    retiring.wait(lambda: bool(told(retiring, "retiring")), "its log line")
    retiring.terminate()
    assert retiring.process.wait(3) == 1


def test_OP_27_what_began_in_the_delay_has_its_grace(retiring: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    retiring.terminate()
    retiring.wait(lambda: bool(told(retiring, "retiring")), "its log line")
    with rest.Wire(retiring.http_port) as wire:
        held = rest.encode({"requests": [rest.get_call("1", "held")]})
        wire.begin("POST", "/svc/$batch", [("Content-Length", str(len(held))), *JSON])
        wire.send(held)
        upstream.wait_for_calls(1)
        retiring.wait(lambda: bool(told(retiring, "draining")), "the end of the delay")
        gate.open()
        assert [one["status"] for one in wire.answer().responses] == [200]
    retiring.stop()


@pytest.mark.parametrize("retiring", ["native"], indirect=True)
def test_OP_27_a_connection_whose_answer_had_begun_has_one_more(
    retiring: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Its head could not say that the connection closes."""
    upstream.on("GET", "/A")
    with rest.Wire(retiring.http_port) as wire:
        two = rest.encode({"requests": [rest.get_call("1", "A"), rest.get_call("2", "held")]})
        wire.begin("POST", "/svc/$batch", [("Content-Length", str(len(two))), *JSON])
        wire.send(two)
        assert wire.head().header("connection") is None
        retiring.terminate()
        retiring.wait(lambda: bool(told(retiring, "retiring")), "its log line")
        gate.open()
        assert wire.remainder()[1]
        answer = ask(wire)
        assert [one["status"] for one in answer.responses] == [200]
        assert answer.header("connection") == "close"
        assert wire.closed()
    retiring.stop()
