"""What groups wait for and who waits for groups: rules JB-14 to JB-19, GW-16, GW-18, GW-20 with several members.

Must hold whatever the form of the upstream's batches is, and over every front.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest
from harness import grpc_client
from harness.batches import Call, by_id, check_error, run_batch, statuses, to_proto
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, failing, is_json_batch, patch, post, script_customers, told_members
from harness.scripted import json_reply, odata_error


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    yield
    assert things.problems == []


def finished(things: BatchingUpstream, line: str) -> float:
    """When the upstream had answered; its thread notes that a moment after the client has the answer."""
    for _ in range(500):
        found = things.call(line).finished
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{line} was not answered")


def test_GW_20_a_group_starts_when_the_last_outside_dependency_has_finished(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/slow", json_reply({}, delay=0.3))
    calls = [
        Call("fast", "ok"),
        Call("slow", "slow"),
        post("1", depends_on=["fast"]),
        delete("2", "Customers(3)", depends_on=["slow"]),
        patch("3", "Customers(7)"),
    ]
    assert set(statuses(run_batch(front, batching_gateway, calls)).values()) == {200, 201, 204}
    [batch] = things.batches
    assert finished(things, "GET /slow") <= batch.started
    assert things.sizes == [3]


def test_GW_20_a_group_that_waits_for_nothing_starts_at_once(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/slow", json_reply({}, delay=0.3))
    calls = [Call("slow", "slow"), post("1"), post("2"), Call("after", "ok", depends_on=["g"])]
    run_batch(front, batching_gateway, calls)
    assert finished(things, "GET /ok") < finished(things, "GET /slow")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_GW_20_one_failed_outside_dependency_fails_the_group_before_its_first_call(
    place: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    members = [post(f"m{n}", depends_on=["bad"] if n == place else []) for n in range(3)]
    calls = [Call("bad", "Missing"), *members, Call("after", "ok", depends_on=["g"])]
    results = by_id(run_batch(front, batching_gateway, calls))
    for name in ("m0", "m1", "m2", "after"):
        check_error(results[name], 424)
    assert things.lines == ["GET /Missing"]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("true", True),
        ("false", False),
        ("$bad/$succeeded", False),
        ("not $bad/$succeeded", True),
        ("$fine/Name eq 'Ada'", True),
        ("$fine/Name eq 'Bob'", False),
        ("null", False),
        ("nonsense(", False),
    ],
)
def test_GW_20_the_ifs_of_all_members_are_asked_before_the_first_call(
    condition: str, runs: bool, place: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    members = [post(f"m{n}") for n in range(3)]
    members[place].depends_on = ["bad", "fine"]
    members[place].condition = condition
    calls = [Call("bad", "Missing"), Call("fine", "Customers(7)"), *members]
    results = by_id(run_batch(front, batching_gateway, calls))
    for member in members:
        if runs:
            assert results[member.id].status == 201
        else:
            check_error(results[member.id], 424)
    assert len(things.batches) == runs
    assert len(things.applied) == (3 if runs else 0)


def test_GW_20_an_if_of_one_member_does_not_excuse_the_dependency_of_another(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [Call("bad", "Missing"), post("1", depends_on=["bad"], condition="true"), post("2", depends_on=["bad"])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"bad": 404, "1": 424, "2": 424}
    assert things.batches == []


@pytest.mark.parametrize("condition", ["$1/$succeeded", "not $1/$succeeded", "$1/ID eq 7", "$1/$succeeded or true"])
@pytest.mark.parametrize("listed", [True, False])
def test_JB_19_an_if_about_the_own_group_is_not_supported_and_fails_it(
    condition: str, listed: bool, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [post("1"), post("2", condition=condition, depends_on=["1"] if listed else []), post("3")]
    results = by_id(run_batch(front, batching_gateway, calls))
    for result in results.values():
        check_error(result, 424)
    assert things.lines == []


def test_GW_18_an_if_that_names_the_own_group(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [post("1"), post("2", condition="$g/$succeeded")]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["1"], 424)
    assert results["2"].status in (400, 424)
    assert things.lines == []


@pytest.mark.parametrize("name", ["g", "1", "2"])
def test_JB_15_dependents_of_the_group_and_of_its_members_wait_for_it(
    name: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_delay = 0.2
    calls = [post("1"), delete("2", "Customers(3)"), Call("after", "ok", depends_on=[name])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"1": 201, "2": 204, "after": 200}
    done = things.batches[0].finished
    assert done is not None
    assert done <= things.call("GET /ok").started


def test_JB_15_a_group_may_depend_on_a_group(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [
        post("a1", group="a"),
        delete("a2", "Customers(3)", group="a"),
        patch("b1", "Customers(7)", group="b", depends_on=["a"]),
        post("b2", group="b"),
    ]
    assert set(statuses(run_batch(front, batching_gateway, calls)).values()) == {201, 204}
    first, second = things.batches
    assert first.finished is not None
    assert first.finished <= second.started
    assert things.applied[:2] == ["POST /Customers", "DELETE /Customers(3)"]


def test_JB_15_a_failed_group_fails_the_group_that_depends_on_it(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [
        *failing(2),
        post("b1", group="b"),
        post("b2", group="b", depends_on=["g"]),
        post("c1", group="c", depends_on=["b2"]),
        post("c2", group="c"),
        Call("end", "ok", depends_on=["c"], condition="$c/$succeeded eq false"),
    ]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert found == {"m0": 424, "m1": 424, "m2": 412, "b1": 424, "b2": 424, "c1": 424, "c2": 424, "end": 200}
    assert len(things.batches) == 1
    assert things.applied == []


@pytest.mark.parametrize(("bad", "succeeded"), [(None, True), (1, False)])
def test_GW_16_a_group_in_an_if(
    bad: int | None, succeeded: bool, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    members = failing(bad) if bad is not None else [post(f"m{n}") for n in range(3)]
    calls = [
        *members,
        Call("yes", "ok", depends_on=["g"], condition="$g/$succeeded"),
        Call("no", "Customers(7)", depends_on=["g"], condition="not $g/$succeeded"),
        Call("unlisted", "ok?x=1", condition="$g/$succeeded"),
        Call("body", "Customers(3)", "DELETE", depends_on=["g"], condition="$g/ID eq 7"),
    ]
    things.on("GET", "/ok?x=1")
    found = statuses(run_batch(front, batching_gateway, calls))
    assert [found["yes"], found["no"], found["unlisted"]] == ([200, 424, 200] if succeeded else [424, 200, 424])
    assert found["body"] == 424


def test_JB_14_order_within_a_group_is_told_to_the_upstream(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """JP-03: the place in the array says nothing to a JSON upstream; in a change set only references do."""
    calls = [post("x"), delete("y", "Customers(3)"), patch("z", "Customers(7)", depends_on=["y", "x"])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"x": 201, "y": 204, "z": 204}
    if is_json_batch(things):
        first, second, third = told_members(things)
        assert set(third["dependsOn"]) == {first["id"], second["id"]}
        assert not first.get("dependsOn")
        assert not second.get("dependsOn")


def test_JB_14_outside_dependencies_are_not_told_to_the_upstream(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [Call("1", "ok"), post("x", depends_on=["1"]), post("y", depends_on=["1", "x"])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"1": 200, "x": 201, "y": 201}
    if is_json_batch(things):
        first, second = told_members(things)
        assert not first.get("dependsOn")
        assert second["dependsOn"] == [first["id"]]


def test_JB_15_a_group_in_several_grpc_messages_runs_once_it_is_closed(
    batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    feed = grpc_client.Feed()
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        stream = client.stub.Batch(iter(feed), timeout=20)
        feed.put(grpc_client.message(to_proto(post("1")), options=grpc_client.options()))
        feed.put(grpc_client.message(to_proto(post("2"))))
        assert not things.wait_until(lambda: bool(things.log), timeout=0.4)
        feed.put(grpc_client.message(to_proto(Call("3", "ok"))))
        things.wait_for_calls(2)
        assert things.sizes == [2]
        feed.put(grpc_client.message(to_proto(post("4", group="h"))))
        feed.put(grpc_client.message(to_proto(failing(0)[0]), to_proto(post("6"))))
        feed.close()
        with pytest.raises(grpc.RpcError, match="adjacent"):
            list(stream)
    assert len(things.batches) == 1


def test_JB_15_a_grpc_stream_ends_its_last_group(batching_gateway: Gateway, things: BatchingUpstream) -> None:
    feed = grpc_client.Feed()
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        stream = client.stub.Batch(iter(feed), timeout=20)
        for name in ("1", "2", "3"):
            feed.put(grpc_client.message(to_proto(post(name)), options=grpc_client.options() if name == "1" else None))
        feed.close()
        results = grpc_client.results_of(list(stream))
    assert {result.id: result.status for result in results} == {"1": 201, "2": 201, "3": 201}
    assert things.sizes == [3]


@pytest.mark.parametrize("bad", [None, 0, 2])
def test_JP_04_a_stopped_batch_and_its_groups(
    bad: int | None, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """continue-on-error=false: what runs is finished, whole groups that have not started are not half run."""
    members = failing(bad) if bad is not None else [post(f"m{n}") for n in range(3)]
    later = [post("h1", group="h", depends_on=["g"], condition="true"), post("h2", group="h")]
    found = statuses(run_batch(front, batching_gateway, [*members, *later], continue_on_error=False))
    if bad is None:
        assert set(found.values()) == {201}
        return
    assert [found[f"m{n}"] for n in range(3)] == [412 if n == bad else 424 for n in range(3)]
    assert {found.get("h1", 424), found.get("h2", 424)} == {424}
    assert len(things.batches) == 1
    assert things.applied == []


def test_JP_04_a_failing_call_stops_a_group_that_waits(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/slow", json_reply({}, delay=0.3))
    things.on("GET", "/bad", odata_error(500))
    calls = [Call("bad", "bad"), Call("slow", "slow"), post("1", depends_on=["slow"]), post("2")]
    results = by_id(run_batch(front, batching_gateway, calls, continue_on_error=False))
    assert results["bad"].status == 500
    assert {results[name].status for name in ("1", "2") if name in results} <= {424}
    assert things.batches == []
