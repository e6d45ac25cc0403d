"""PL-11: what is not kept of an answer is no null, and no text."""

from __future__ import annotations

from typing import Any

import pytest
from batchwire.core.model import Result
from batchwire.core.plan.references import stats
from plan_driving import driven, json_result, make_call, result_of

NOT_KEPT = (
    "is not kept any more: there were too many answers after it (limits.reference_bytes), or too many are kept for "
    "other batches (limits.max_reference_bytes_in_process)"
)


def plan_after(answers: int, reference_bytes: int = 10_000, **first: Any) -> Any:
    """A plan in which the call `first` has ended, and so many after it."""
    plan = driven(reference_bytes)
    for name in ("first", *(f"n{n}" for n in range(answers))):
        call = make_call(name)
        plan.enter(call)
        plan.take()
        plan.end(call, json_result(first if name == "first" else {}))
    return plan


def decided(plan: Any, call: Any) -> tuple[int, str]:
    plan.enter(call)
    (taken,) = plan.take()
    return (0, "") if taken.refusal is None else (taken.refusal.status, taken.refusal.message)


@pytest.mark.parametrize("asked", ["$first/id eq null", "$first/id ne 42", "not ($first/id eq 42)", "$first/id eq 42"])
def test_PL_11_a_condition_on_what_is_forgotten_cannot_be_evaluated(asked: str) -> None:
    plan = plan_after(100, id=42)
    why = f"the condition cannot be evaluated: what $first answered {NOT_KEPT}"
    assert decided(plan, make_call("b", depends_on=["first"], condition=asked)) == (424, why)


def test_PL_11_how_it_ended_is_never_forgotten() -> None:
    plan = plan_after(100, id=42)
    assert decided(
        plan, make_call("b", depends_on=["first"], condition="$first/$succeeded and $first/$status eq 200")
    ) == (0, "")
    assert decided(plan, make_call("c", depends_on=["first"])) == (0, "")


@pytest.mark.parametrize(
    "call",
    [
        {"url": "x?q=$first/id"},
        {"body": {"q": "$first/id"}},
        {"body": {"a@odata.bind": "$first"}},
    ],
)
def test_PL_11_a_reference_to_what_is_forgotten_is_refused(call: dict[str, Any]) -> None:
    status, why = decided(plan_after(100, id=42), make_call("b", depends_on=["first"], **call))
    assert (status, NOT_KEPT in why) == (400, True)


def test_PL_11_a_url_reference_to_what_is_forgotten_is_refused() -> None:
    status, why = decided(plan_after(100, id=42), make_call("b", "$first/x", depends_on=["first"]))
    assert (status, NOT_KEPT in why) == (400, True)


@pytest.mark.parametrize("answers", [0, 5])
def test_PL_11_what_is_kept_is_used(answers: int) -> None:
    plan = plan_after(answers, id=42)
    assert decided(plan, make_call("b", depends_on=["first"], condition="$first/id eq 42")) == (0, "")
    assert decided(plan, make_call("c", depends_on=["first"], condition="$first/id eq null")) == (
        424,
        "the condition of the call is not true",
    )


def test_PL_11_a_large_answer_is_not_null() -> None:
    plan = plan_after(0, 8 << 20, id=42, text="x" * 70_000)
    status, why = decided(plan, make_call("b", depends_on=["first"], condition="$first/id eq null"))
    assert (status, "is too large to be kept" in why) == (424, True)


def grown(plan: Any, name: str, size: int) -> None:
    call = make_call(name)
    plan.enter(call)
    plan.take()
    plan.end(call, json_result({"id": name, "x": "x" * size}))


def test_PL_11_all_batches_together_keep_no_more_than_the_process_may() -> None:
    """Those that keep the most lose their oldest; one that keeps little loses nothing, nor does a new one."""
    bound = 2_000_000
    small, large, late = (
        [driven(in_process=bound) for _ in range(3)],
        driven(in_process=bound),
        driven(in_process=bound),
    )
    for plan in small:
        grown(plan, "first", 30_000)
    for n in range(200):
        grown(large, f"n{n}", 50_000)
        assert stats()["references_kept"] <= bound
    for n in range(10):
        grown(late, f"n{n}", 50_000)
        assert stats()["references_kept"] <= bound
    for plan, name in [*((plan, "first") for plan in small), (large, "n199"), (late, "n0"), (late, "n9")]:
        asked = make_call(f"asks-{name}", depends_on=[name], condition=f"${name}/id eq '{name}'")
        assert decided(plan, asked) == (0, "")
    status, why = decided(large, make_call("asked", depends_on=["n0"], condition="$n0/id eq 'n0'"))
    assert (status, NOT_KEPT in why) == (424, True)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_JB_19_json_in_another_charset_is_json(codec: str) -> None:
    """AN-02: as the client sees it."""
    plan = driven()
    first = make_call("first")
    plan.enter(first)
    plan.take()
    media = f"application/json;charset={codec}" if codec == "iso-8859-1" else "application/json"
    plan.end(first, result_of('{"a":1,"b":"é"}'.encode(codec), media))
    holding = plan.holding
    assert decided(plan, make_call("x", depends_on=["first"], condition="$first/a eq 1")) == (0, "")
    assert decided(plan, make_call("y", depends_on=["first"], condition="$first/b eq 'é'")) == (0, "")
    assert decided(plan, make_call("z", depends_on=["first"], condition="$first/a eq null"))[0] == 424
    kept = plan.holding[0] - holding[0]
    assert (plan.holding[1], 0 < kept < 100) == (0, True), "what is kept besides is counted"


def test_PL_02_the_urls_that_waiting_calls_hold_are_bounded() -> None:
    plan = driven(1)
    gate = make_call("gate")
    sources = [make_call(f"s{n}") for n in range(700)]
    users = [make_call(f"u{n}", f"$s{n}/x", depends_on=["gate", f"s{n}"]) for n in range(700)]
    for call in (gate, *sources, *users):
        plan.enter(call)
    plan.take()
    created = Result()
    created.fill(201, [(b"Location", b"/x" * 15_000)])
    for call in sources:
        plan.end(call, created)
    assert 15 << 20 < plan.holding[1] < 17 << 20
    plan.end(gate, created)
    plan.take()
    assert "has no usable URL" in users[0].refusal.message  # nothing was sent: it has none
    assert "is not kept: the answers that calls wait for hold too much" in users[-1].refusal.message
    assert plan.holding[1] == 0
