"""Groups, dependencies and conditions of the request: rules JB-13 to JB-19 of the contract."""

from __future__ import annotations

import pytest
from harness.batches import Call, Refused, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for path in ("/ok", "/next", "/last"):
        upstream.on("GET", path)
    upstream.on("GET", "/bad", odata_error(404))


def test_JB_13_members_of_a_group_are_adjacent(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok", group="g"), Call("2", "next"), Call("3", "last", group="g")]
    with pytest.raises(Refused) as caught:
        run_batch(front, gateway, calls)
    assert caught.value.bad_envelope
    assert upstream.lines == []


def test_JB_13_get_in_a_group_is_legal(front: str, gateway: Gateway) -> None:
    [result] = run_batch(front, gateway, [Call("1", "ok", group="g")])
    assert (result.status, result.group) == (200, "g")


@pytest.mark.parametrize("target", ["3", "nobody"])
def test_JB_14_no_forward_or_unknown_dependency(
    target: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call("1", "ok"), Call("2", "next", depends_on=[target]), Call("3", "last")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["2"], 400)
    assert [results["1"].status, results["3"].status] == [200, 200]
    assert sorted(upstream.lines) == ["GET /last", "GET /ok"]


def test_JB_14_an_id_inside_a_group_may_be_listed(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok", group="g"), Call("2", "next", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200}
    assert upstream.lines == ["GET /ok", "GET /next"]


def test_JB_15_a_group_name_waits_for_the_group(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok", json_reply({}, delay=0.2))
    calls = [Call("1", "ok", group="g"), Call("2", "next", depends_on=["g"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200}
    first = upstream.call("GET /ok").finished
    assert first is not None
    assert first <= upstream.call("GET /next").started


def test_JB_15_a_failed_group_fails_its_dependents(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "bad", group="g"), Call("2", "next", depends_on=["g"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 404, "2": 424}
    assert upstream.lines == ["GET /bad"]


@pytest.mark.parametrize("status", [300, 301, 304, 400, 404, 500, 503])
def test_JB_16_only_2xx_is_success(status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/first", Reply(status))
    calls = [Call("1", "first"), Call("2", "next", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status == status
    check_error(results["2"], 424)
    assert upstream.lines == ["GET /first"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_JB_16_every_2xx_is_success(status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/first", Reply(status))
    calls = [Call("1", "first"), Call("2", "next", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": status, "2": 200}


def test_JB_16_all_dependencies_must_succeed(front: str, gateway: Gateway) -> None:
    calls = [
        Call("1", "ok"),
        Call("2", "bad"),
        Call("3", "next", depends_on=["1", "2"]),
        Call("4", "last", depends_on=["1", "1"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 404, "3": 424, "4": 200}


def test_JB_17_failed_dependency_cascades(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    chain = [Call(str(n), "next", depends_on=[str(n - 1)]) for n in range(2, 10)]
    results = by_id(run_batch(front, gateway, [Call("1", "bad"), *chain, Call("x", "last")]))
    assert results["1"].status == 404
    for call in chain:
        check_error(results[call.id], 424)
    assert results["x"].status == 200
    assert sorted(upstream.lines) == ["GET /bad", "GET /last"]


def test_JB_17_a_refused_call_fails_its_dependents(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok", "TRACE"), Call("2", "next", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 400, "2": 424}
    assert upstream.lines == []


@pytest.mark.parametrize("condition", ["true", " true ", "not false", "1 eq 1"])
def test_JB_18_if_replaces_the_default_condition(
    condition: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call("1", "bad"), Call("2", "next", depends_on=["1"], condition=condition)]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 404, "2": 200}
    assert upstream.lines == ["GET /bad", "GET /next"]


def test_JB_18_false_is_424_though_all_succeeded(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok"), Call("2", "next", depends_on=["1"], condition="false")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["2"], 424)
    assert upstream.lines == ["GET /ok"]


def test_JB_18_if_without_dependencies(front: str, gateway: Gateway) -> None:
    calls = [Call("1", "ok", condition="true"), Call("2", "next", condition="false")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 424}


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("$1/$succeeded", True),
        ("$2/$succeeded", False),
        ("$2/$succeeded eq false", True),
        ("not $2/$succeeded", True),
        ("$1/$succeeded and $2/$succeeded", False),
        ("$1/$succeeded or $2/$succeeded", True),
        ("($1/$succeeded eq true) and not ($2/$succeeded)", True),
        ("$1/Name eq 'Ada'", True),
        ("$1/Name ne 'Ada'", False),
        ("$1/Age gt 35", True),
        ("$1/Address/City eq 'London' and $1/Age le 36", True),
        ("$1/Missing eq 'x'", False),
        ("$1/Nothing eq null", True),
        ("$1/Flag", True),
    ],
)
def test_JB_19_conditions_over_results(
    condition: str, runs: bool, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = {"Name": "Ada", "Age": 36, "Address": {"City": "London"}, "Nothing": None, "Flag": True}
    upstream.on("GET", "/ok", json_reply(body))
    calls = [Call("1", "ok"), Call("2", "bad"), Call("3", "next", depends_on=["1", "2"], condition=condition)]
    assert statuses(run_batch(front, gateway, calls))["3"] == (200 if runs else 424)
    assert ("GET /next" in upstream.lines) is runs


@pytest.mark.parametrize(
    "condition",
    ["", "$1/$succeeded eq", "((true)", "nonsense(1)", "$1 $2", "'text'", "$1/Name", "42", "$1/$count gt 0"],
)
def test_JB_19_a_condition_that_cannot_be_evaluated_is_424(
    condition: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok", json_reply({"Name": "Ada"}))
    calls = [
        Call("1", "ok"),
        Call("2", "next", depends_on=["1"], condition=condition),
        Call("3", "last", depends_on=["2"]),
    ]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status == 200
    check_error(results["2"], 424)
    check_error(results["3"], 424)
    assert upstream.lines == ["GET /ok"]


def test_JB_19_the_group_of_a_false_condition_fails(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("1", "ok"),
        Call("2", "next", depends_on=["1"], group="g", condition="false"),
        Call("3", "last", depends_on=["g"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 424, "3": 424}
    assert upstream.lines == ["GET /ok"]


@pytest.mark.parametrize(
    ("said", "condition", "status"),
    [
        ("9007199254740993", "$1/n eq 9007199254740992", 424),
        ("9007199254740993.0", "$1/n gt 9007199254740992", 200),
        ("12345678901234567.89", "$1/n ge 12345678901234567.90", 424),
        ("0.30000000000000000001", "$1/n gt 0.3", 200),
        ("1.0", "$1/n in (2, 10e-1)", 200),
        ("1e999999999", "$1/n gt 1e999999998", 200),
        ("[0.1, 9007199254740993.0]", "$1/n eq $2/n", 424),
        ("[0.10, 9007199254740992.00]", "$1/n eq $2/n", 200),
        ("[1e99999999999999999999]", "$1/n ne $2/n", 424),
        ("1e99999999999999999999", "$1/n ne 1", 424),
    ],
)
def test_PL_14_numbers_of_answers_are_compared_exactly(
    said: str, condition: str, status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok", Reply(200, [("Content-Type", "application/json")], b'{"n":%s}' % said.encode()))
    other = b'{"n":[0.1,9007199254740992.0]}'
    upstream.on("GET", "/next", Reply(200, [("Content-Type", "application/json")], other))
    calls = [Call("1", "ok"), Call("2", "next"), Call("3", "last", condition=condition, depends_on=["1", "2"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200, "3": status}
