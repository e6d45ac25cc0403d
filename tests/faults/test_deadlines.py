"""Deadlines of a call, of a batch and of the RPC: late calls are 504, the rest is delivered."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    REST,
    Call,
    by_id,
    check_error,
    duration,
    from_proto,
    run_batch,
    statuses,
)
from harness.gateway import Gateway
from harness.scripted import Gate, ScriptedUpstream, json_reply

STALLS = [
    "stall-before-head",
    "stall-mid-head",
    "stall-mid-body",
    "stall-mid-chunk",
    "trickled-body",
    "trickled-head",
]
GRPC_FRONTS = [GRPC_BATCH, GRPC_EXECUTE]


@pytest.fixture
def held(upstream: ScriptedUpstream) -> Gate:
    """/held never answers before the test ends; /ok does."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    upstream.on("GET", "/ok")
    return gate


@pytest.mark.parametrize("front", [REST, GRPC_BATCH])
def test_a_call_over_the_upstreams_limit_is_504(front: str, fault_gateway: Gateway) -> None:
    calls = [Call(name, name) for name in STALLS]
    calls += [Call("ok", "fine/1"), Call("dependent", "fine/2", depends_on=[STALLS[0]])]
    results = by_id(run_batch(front, fault_gateway, calls))
    for name in STALLS:
        check_error(results[name], 504)
    assert results["ok"].json() == {"fine": 1}
    check_error(results["dependent"], 424)
    fault_gateway.wait_idle()


@pytest.mark.parametrize("front", GRPC_FRONTS)
def test_a_call_with_a_timeout_of_its_own(front: str, fault_gateway: Gateway, held: Gate) -> None:
    calls = [Call("late", "held", timeout=0.3), Call("ok", "ok", timeout=10.0)]
    try:
        results = by_id(run_batch(front, fault_gateway, calls, route="/good/"))
    finally:
        held.open()
    check_error(results["late"], 504)
    assert results["ok"].status == 200


@pytest.mark.parametrize("front", GRPC_FRONTS)
def test_the_deadline_of_a_batch(front: str, fault_gateway: Gateway, held: Gate, upstream: ScriptedUpstream) -> None:
    """What runs is cut, what waits does not start: 504 each, and the RPC itself ends well."""
    calls = [
        grpc_client.call("late", "held"),
        grpc_client.call("ok", "ok"),
        grpc_client.call("waits", "never", depends_on=["late"]),
        grpc_client.call("after", "never", depends_on=["late"], condition="true"),
    ]
    choices = grpc_client.options("/good/", deadline=duration(0.5))
    with grpc_client.Client(fault_gateway.grpc_address) as client:
        try:
            found: list[Any]
            if front == GRPC_EXECUTE:
                found = list(client.execute(batch_pb2.ExecuteRequest(calls=calls, options=choices)).results)
            else:
                found = grpc_client.results_of(client.batch([grpc_client.message(*calls, options=choices)]))
        finally:
            held.open()
    results = by_id(from_proto(result) for result in found)
    check_error(results["late"], 504)
    assert results["ok"].status == 200
    check_error(results["waits"], 504)
    check_error(results["after"], 504)
    assert sorted(upstream.lines) == ["GET /held", "GET /ok"]


@pytest.mark.parametrize("front", GRPC_FRONTS)
def test_outcomes_name_who_decided(front: str, fault_gateway: Gateway) -> None:
    calls = [
        grpc_client.call("fine", "fine/1"),
        grpc_client.call("failed", "no-such-fault"),
        grpc_client.call("refused", "x", "TRACE"),
        grpc_client.call("dependent", "x", depends_on=["failed"]),
        grpc_client.call("broken", "garbage"),
        grpc_client.call("late", "stall-before-head"),
    ]
    with grpc_client.Client(fault_gateway.grpc_address) as client:
        if front == GRPC_EXECUTE:
            answer = client.execute(batch_pb2.ExecuteRequest(calls=calls, options=grpc_client.options()))
            found, summary = answer.results, answer.summary
        else:
            messages = client.batch([grpc_client.message(*calls, options=grpc_client.options())])
            found, summary = grpc_client.results_of(messages), messages[-1].summary
    outcomes = {result.id: batch_pb2.Outcome.Name(result.outcome) for result in found}
    assert outcomes == {
        "fine": "OUTCOME_SUCCEEDED",
        "failed": "OUTCOME_FAILED",
        "refused": "OUTCOME_REFUSED",
        "dependent": "OUTCOME_DEPENDENCY_FAILED",
        "broken": "OUTCOME_UNREACHABLE",
        "late": "OUTCOME_TIMED_OUT",
    }
    counts = [summary.succeeded, summary.failed, summary.refused, summary.dependency_failed]
    assert [*counts, summary.unreachable, summary.timed_out] == [1] * 6
    assert summary.calls == 6
    late = next(result for result in found if result.id == "late")
    assert late.timings.elapsed_us >= 900_000
    elapsed = summary.elapsed.seconds + summary.elapsed.nanos / 1e9
    assert elapsed >= 0.9


@pytest.mark.both_fronts
def test_the_deadline_of_the_rpc_stops_the_batch(
    fault_gateway: Gateway, held: Gate, upstream: ScriptedUpstream
) -> None:
    """The gateway ends the batch just before the client gives up, so that the 504 still arrives."""
    with grpc_client.Client(fault_gateway.grpc_address) as client:
        messages = [grpc_client.message(grpc_client.call("1", "held"), options=grpc_client.options("/good/"))]
        [late] = grpc_client.results_of(client.batch(messages, timeout=2.0))
    assert late.status == 504
    assert upstream.wait_until(lambda: upstream.current == 0, timeout=15)
    assert upstream.call("GET /held").aborted
    fault_gateway.wait_idle()
    held.open()


def test_a_held_call_does_not_hold_up_the_others(fault_gateway: Gateway, held: Gate) -> None:
    found: dict[str, int] = {}
    calls = [Call("held", "held"), *(Call(str(n), "ok") for n in range(300))]
    thread = threading.Thread(
        target=lambda: found.update(statuses(run_batch(REST, fault_gateway, calls, route="/good/")))
    )
    thread.start()
    end = time.monotonic() + 15
    try:
        [other] = run_batch(REST, fault_gateway, [Call("1", "ok")], route="/good/")
        assert other.status == 200
        assert time.monotonic() < end
    finally:
        held.open()
        thread.join()
    assert len(found) == 301
    assert set(found.values()) == {200}
