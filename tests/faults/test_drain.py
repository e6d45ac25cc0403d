"""SIGTERM: what is in flight finishes, what is new is turned away, the process ends well."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import config, grpc_client, rest
from harness.batches import FRONTS, GRPC_BATCH, REST, Call, Refused, Result, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Gate, ScriptedUpstream, json_reply


@pytest.fixture
def own_gateway(_things: ScriptedUpstream, served_by: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that one test may end."""
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen = {"grace_seconds": 15, "front": served_by}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path) as running:
        yield running


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Gate:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    upstream.on("GET", "/after")
    return gate


CALLS = [Call("1", "held"), Call("2", "after", depends_on=["1"])]


@pytest.mark.parametrize("front", [REST, GRPC_BATCH])
def test_a_batch_in_flight_finishes(front: str, own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(front, own_gateway, CALLS)))
    thread.start()
    try:
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        own_gateway.wait(lambda: not own_gateway.ready(), "/readyz no longer 200")
        assert own_gateway.process.poll() is None
    finally:
        gate.open()
        thread.join()
    assert statuses(results) == {"1": 200, "2": 200}
    own_gateway.stop()


def status_of(get: Callable[[], int]) -> int:
    """The status of a GET, or 0 when the listener does not take connections any more."""
    try:
        return get()
    except OSError:
        return 0


def test_readyz_is_503_while_healthz_is_200(own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """The HTTP listener stays open for them until the last batch has ended."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(REST, own_gateway, CALLS)))
    thread.start()
    try:
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        own_gateway.wait(lambda: not own_gateway.ready(), "/readyz no longer 200")
        assert own_gateway.get("/readyz")[0] == 503
        assert own_gateway.get("/healthz")[0] == 200
    finally:
        gate.open()
        thread.join()
    assert statuses(results) == {"1": 200, "2": 200}


@pytest.mark.both_fronts
def test_new_batches_are_turned_away(own_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(REST, own_gateway, CALLS)))
    thread.start()
    try:
        upstream.wait_for_calls(1)
        own_gateway.terminate()
        own_gateway.wait(lambda: not own_gateway.ready(), "/readyz no longer 200")
        document = {"requests": [rest.get_call("1", "after")]}
        assert status_of(lambda: rest.post(own_gateway.http_port, document).status) in (0, 503)
        with pytest.raises(Refused) as caught:
            run_batch(GRPC_BATCH, own_gateway, [Call("1", "after")], timeout=5)
        assert caught.value.status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert upstream.lines == ["GET /held"]
    finally:
        gate.open()
        thread.join()
    assert statuses(results) == {"1": 200, "2": 200}


def test_an_idle_gateway_ends_at_once(own_gateway: Gateway) -> None:
    with rest.Wire(own_gateway.http_port) as idle:
        own_gateway.stop(timeout=5)
        assert idle.closed()


@pytest.fixture
def strict_gateway(_things: ScriptedUpstream, served_by: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with little patience at its end."""
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    listen = {"grace_seconds": 0.5, "front": served_by}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path) as running:
        yield running


def begin(wire: rest.Wire, document: bytes, root: str = "/svc/") -> None:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(document)), **rest.STRICT}
    wire.begin("POST", f"{root}$batch", fields)


def test_FR_03_what_is_not_started_is_told_at_the_end_of_the_grace_period(
    strict_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Nothing was done, and 503 says so: the client may send it to another gateway."""
    document = rest.encode({"requests": [rest.get_call("1", "after")]})
    with rest.Wire(strict_gateway.http_port) as wire:
        begin(wire, document)
        wire.send(document[:-1])
        strict_gateway.wait(lambda: strict_gateway.in_flight() > 0, "the batch")
        strict_gateway.terminate()
        answer = wire.answer()
    assert (answer.status, answer.header("content-type")) == (503, "application/json")
    assert (answer.header("odata-version"), answer.header("connection")) == ("4.01", "close")
    assert answer.json()["error"]["code"] == "Stopping"
    strict_gateway.stop()
    assert [entry["ended"] for entry in strict_gateway.logs() if entry.get("event") == "batch"] == ["cancelled"]
    assert upstream.lines == []


@pytest.mark.parametrize("front", FRONTS)
def test_FR_03_what_is_finished_is_delivered_at_the_end_of_the_grace_period(
    front: str, strict_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """The batch had started: it ends well, with 503 for what ran and for what had not begun."""
    upstream.on("GET", "/never")
    calls = [
        Call("done", "after"),
        Call("runs", "held"),
        Call("waits", "never", depends_on=["runs"]),
        Call("last", "never", depends_on=["runs"], condition="true"),
    ]
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(front, strict_gateway, calls)))
    thread.start()
    upstream.wait_for_calls(2)
    strict_gateway.terminate()
    thread.join()
    assert upstream.wait_until(lambda: upstream.current == 0)
    gate.open()
    assert statuses(results) == {"done": 200, "runs": 503, "waits": 503, "last": 503}
    assert sorted(upstream.lines) == ["GET /after", "GET /held"]
    strict_gateway.stop()


@pytest.mark.parametrize("client", FRONTS)
def test_FR_03_more_calls_than_may_be_pending_each_have_their_result(
    client: str, strict_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """The request has come whole, though not all of it has been read when the grace period ends.

    Over the native front: grpc's core may reset a connection at its end before a large answer has left the process.
    """
    results: list[Result] = []
    calls = [Call(str(number), "held") for number in range(3000)]
    thread = threading.Thread(target=lambda: results.extend(run_batch(client, strict_gateway, calls)))
    thread.start()
    upstream.wait_for_calls(1)
    strict_gateway.terminate()
    thread.join()
    gate.open()
    assert statuses(results) == {str(number): 503 for number in range(3000)}
    strict_gateway.stop()


@pytest.mark.parametrize("ordered", [False, True])
def test_FR_03_an_answer_that_has_begun_ends_whole(
    ordered: bool, strict_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    document = rest.encode({"requests": [rest.get_call("1", "after"), rest.get_call("2", "held")]})
    with rest.Wire(strict_gateway.http_port) as wire:
        order = {"Prefer": "order=request"} if ordered else {}
        fields = {"Content-Type": "application/json", "Content-Length": str(len(document)), **rest.STRICT, **order}
        wire.begin("POST", "/stream/$batch", fields)
        wire.send(document)
        assert wire.head().status == 200
        upstream.wait_for_calls(2)
        strict_gateway.terminate()
        text, whole = wire.remainder()
    gate.open()
    assert whole
    assert {answer["id"]: answer["status"] for answer in json.loads(text)["responses"]} == {"1": 200, "2": 503}


def test_FR_03_a_request_that_has_not_come_whole_breaks_off(
    strict_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    document = rest.encode({"requests": [rest.get_call("1", "after"), rest.get_call("2", "held")]})
    with rest.Wire(strict_gateway.http_port) as wire:
        begin(wire, document, "/stream/")
        wire.send(document[:-1])
        assert wire.head().status == 200
        upstream.wait_for_calls(2)
        strict_gateway.terminate()
        text, whole = wire.remainder()
    gate.open()
    assert b'"id":"2","status":503' in text
    assert not whole


def test_FR_03_a_batch_that_had_started_is_never_unavailable(
    strict_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Its client has not said all: the results come, and then a status that nobody tries again by himself."""
    found: list[Any] = []
    feed = grpc_client.Feed()
    with grpc_client.Client(strict_gateway.grpc_address) as client:
        answers = client.stub.Batch(iter(feed))
        feed.put(
            grpc_client.message(
                grpc_client.call("1", "after"), grpc_client.call("2", "held"), options=grpc_client.options()
            )
        )
        upstream.wait_for_calls(2)
        strict_gateway.terminate()
        with pytest.raises(grpc.RpcError) as caught:
            found.extend(result for message in answers for result in message.results)
        feed.close()
    gate.open()
    assert {result.id: result.status for result in found} == {"1": 200, "2": 503}
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "2 calls had been started" in caught.value.details()


def test_the_grace_period_ends(upstream: ScriptedUpstream, gate: Gate, tmp_path: Path) -> None:
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen={"grace_seconds": 1})
    with Gateway(settings, tmp_path) as running, rest.Wire(running.http_port) as wire:
        body = rest.encode({"requests": [rest.get_call("1", "held")]})
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Content-Length": str(len(body))})
        wire.send(body)
        upstream.wait_for_calls(1)
        running.stop()
        assert upstream.wait_until(lambda: upstream.current == 0)
    gate.open()
