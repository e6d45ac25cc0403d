"""Processing of JSON batches: rules JP-01 to JP-04 of the contract."""

from __future__ import annotations

import threading

import pytest
from harness.batches import Call, Result, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply, odata_error


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    upstream.on("GET", "/bad", odata_error(409))


def test_JP_01_a_group_of_several_applies_nothing(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """No upstream here can roll back, so every member is 501 before any of them runs (GW-04 c)."""
    calls = [
        Call("1", "C", "POST", group="g", body=b"{}"),
        Call("2", "C(5)", "PATCH", group="g", body=b"{}"),
        Call("3", "ok", depends_on=["g"]),
        Call("4", "ok"),
    ]
    results = by_id(run_batch(front, gateway, calls))
    for name in ("1", "2"):
        check_error(results[name], 501)
        assert results[name].group == "g"
    check_error(results["3"], 424)
    assert results["4"].status == 200
    assert upstream.lines == ["GET /ok"]


def test_JP_02_an_error_stops_only_its_dependents(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("1", "bad"),
        Call("2", "ok", depends_on=["1"]),
        Call("3", "ok"),
        Call("4", "ok", depends_on=["3"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 409, "2": 424, "3": 200, "4": 200}


def run_in_thread(front: str, gateway: Gateway, calls: list[Call]) -> tuple[threading.Thread, list[Result]]:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(run_batch(front, gateway, calls)))
    thread.start()
    return thread, results


def test_JP_03_independent_calls_run_in_parallel(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """All ten are at the upstream before the first of them is answered."""
    gate = upstream.gate()
    for n in range(10):
        upstream.on("GET", f"/p{n}", json_reply({"n": n}, gate=gate))
    thread, results = run_in_thread(front, gateway, [Call(str(n), f"p{n}") for n in range(10)])
    try:
        upstream.wait_for_calls(10)
    finally:
        gate.open()
        thread.join()
    assert {name: result.json() for name, result in by_id(results).items()} == {str(n): {"n": n} for n in range(10)}


def test_JP_03_dependents_wait(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/first", json_reply({}, gate=gate))
    upstream.on("GET", "/second")
    calls = [Call("1", "first"), Call("2", "second", depends_on=["1"]), Call("3", "ok")]
    thread, results = run_in_thread(front, gateway, calls)
    try:
        upstream.wait_for_calls(2)
        assert sorted(upstream.lines) == ["GET /first", "GET /ok"]
    finally:
        gate.open()
        thread.join()
    assert statuses(results) == {"1": 200, "2": 200, "3": 200}
    assert upstream.lines[-1] == "GET /second"


def test_JP_04_false_stops_after_an_error(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("1", "bad"),
        Call("2", "ok", depends_on=["1"], condition="true"),
        Call("3", "ok", depends_on=["2"]),
    ]
    assert statuses(run_batch(front, gateway, calls, continue_on_error=False)) == {
        "1": 409,
        "2": 424,
        "3": 424,
    }
    assert upstream.lines == ["GET /bad"]
