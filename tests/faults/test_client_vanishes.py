"""A client that goes away in the middle of a batch: its calls stop and everything it held comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import grpc_client, rest
from harness.batches import FRONTS, Call, run_batch
from harness.gateway import Gateway
from harness.scripted import Gate, ScriptedUpstream, json_reply

STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
HELD = 20


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Gate:
    """/held/0 to /held/19 do not answer before the gate opens; /ok does."""
    gate = upstream.gate()
    for n in range(HELD):
        upstream.on("GET", f"/held/{n}", json_reply({}, gate=gate))
    upstream.on("GET", "/ok")
    upstream.on("GET", "/never")
    return gate


def send_whole(gateway: Gateway) -> rest.Wire:
    calls = [rest.get_call(str(n), f"held/{n}") for n in range(HELD)]
    calls += [rest.get_call(f"n{n}", "never", dependsOn=[str(n)], if_="true") for n in range(HELD)]
    body = rest.encode({"requests": calls})
    wire = rest.Wire(gateway.http_port)
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **rest.STRICT}
    wire.begin("POST", "/good/$batch", fields)
    wire.send(body)
    return wire


def rest_reset(gateway: Gateway) -> Callable[[], None]:
    """A complete REST batch whose client resets the connection."""
    return send_whole(gateway).reset


def rest_closed(gateway: Gateway) -> Callable[[], None]:
    """A complete REST batch whose client closes the connection."""
    return send_whole(gateway).socket.close


def rest_unfinished(gateway: Gateway) -> Callable[[], None]:
    """A streamed REST batch whose client goes away before the document ends."""
    wire = rest.Wire(gateway.http_port)
    wire.begin("POST", "/flow/$batch", STREAM)
    wire.chunk(b'{"requests":[')
    for n in range(HELD):
        wire.chunk(rest.encode(rest.get_call(str(n), f"held/{n}")) + b",")
    wire.chunk(b'{"id":"half')
    return wire.reset


def grpc_cancelled(gateway: Gateway) -> Callable[[], None]:
    """A Batch RPC that the client cancels."""
    client = grpc_client.Client(gateway.grpc_address)
    feed = grpc_client.Feed()
    stream = client.stub.Batch(iter(feed))
    feed.put(
        grpc_client.message(
            *(grpc_client.call(str(n), f"held/{n}") for n in range(HELD)), options=grpc_client.options("/good/")
        )
    )

    def cancel() -> None:
        stream.cancel()
        feed.close()
        client.channel.close()

    return cancel


def grpc_channel_closed(gateway: Gateway) -> Callable[[], None]:
    """A Batch RPC, half-closed, whose channel goes away."""
    client = grpc_client.Client(gateway.grpc_address)
    calls = [grpc_client.call(str(n), f"held/{n}") for n in range(HELD)]
    calls += [grpc_client.call(f"n{n}", "never", depends_on=[str(n)], condition="true") for n in range(HELD)]
    stream = client.stub.Batch(iter([grpc_client.message(*calls, options=grpc_client.options("/good/"))]))

    def close() -> None:
        client.channel.close()
        stream.cancel()

    return close


VANISHING = [rest_reset, rest_closed, rest_unfinished, grpc_cancelled, grpc_channel_closed]


@pytest.mark.parametrize("begin", VANISHING, ids=lambda begin: begin.__name__)
@pytest.mark.both_fronts
def test_all_that_a_vanished_client_held_comes_back(
    begin: Callable[[Gateway], Callable[[], None]],
    fault_gateway: Gateway,
    upstream: ScriptedUpstream,
    gate: Gate,
) -> None:
    run_batch("rest-json", fault_gateway, [Call(str(n), "ok") for n in range(5)], route="/good/")
    fault_gateway.wait_idle()
    upstream.log.clear()
    before = fault_gateway.fds()
    connections = upstream.open_connections
    vanish = begin(fault_gateway)
    upstream.wait_for_calls(HELD)
    assert upstream.current == HELD
    assert fault_gateway.in_flight() > 0
    vanish()
    assert upstream.wait_until(lambda: upstream.current == 0), f"{upstream.current} calls still run"
    assert all(call.aborted for call in upstream.log)
    fault_gateway.wait_idle()
    fault_gateway.wait(lambda: fault_gateway.fds() <= before, f"no more than {before} descriptors")
    assert upstream.wait_until(lambda: upstream.open_connections <= max(connections, 1))
    assert "GET /never" not in upstream.lines
    gate.open()


@pytest.mark.parametrize("front", FRONTS)
def test_the_gateway_serves_on_after_many_vanished_clients(
    front: str, fault_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    for begin in VANISHING * 3:
        vanish = begin(fault_gateway)
        upstream.wait_for_calls(1)
        vanish()
    assert upstream.wait_until(lambda: upstream.current == 0)
    [result] = run_batch(front, fault_gateway, [Call("1", "ok")], route="/good/")
    assert result.status == 200
    fault_gateway.wait_idle()
    gate.open()


def test_a_client_that_vanishes_before_its_first_call(fault_gateway: Gateway) -> None:
    before = fault_gateway.fds()
    for sent in (b"", b"POST /good/$b", b"POST /good/$batch HTTP/1.1\r\nHost: gw.example\r\n"):
        wire = rest.Wire(fault_gateway.http_port)
        wire.send(sent)
        wire.reset()
    with rest.Wire(fault_gateway.http_port) as wire:
        wire.begin("POST", "/flow/$batch", STREAM)
        wire.chunk(b'{"requests":[{"id')
    fault_gateway.wait_idle()
    fault_gateway.wait(lambda: fault_gateway.fds() <= before, f"no more than {before} descriptors")
