"""PL-07: what a condition finds is held while it is evaluated, and no longer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from plan_driving import driven, json_result, make_call

VALUES: dict[str, Any] = {
    "a": {"v": ["z" * 40] * 12_000, "n": 1},
    "b": {"v": ["z" * 40] * 12_000, "n": 1.5},
    "c": {"v": ["z" * 40] * 12_000 + [1]},
}
CONDITIONS = {
    "alike": ("$a/v eq $b/v", 0),
    "both members": ("$a/v eq $b/v and not ($a/v ne $b/v)", 0),
    "not run": ("$a/v ne $b/v", 424),
    "too much work": ("$a/v eq $c/v", 424),
    "of another kind": ("$a/v eq $b/n", 424),
    "in a list": ("$a/v in ($b/v)", 0),
}


@pytest.fixture
def counted(nothing_collected: None) -> Iterator[None]:
    """The collector is not what frees it: it runs by how many objects there are, whatever their size."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.usefixtures("counted")
def test_PL_07_what_conditions_found_is_let_go_of_one_by_one(name: str) -> None:
    condition, status = CONDITIONS[name]
    plan = driven()
    sources = [make_call(source) for source in VALUES]
    asking = [make_call(f"n{n}", depends_on=list(VALUES), condition=condition) for n in range(60)]
    for call in sources + asking:
        plan.enter(call)
    assert plan.take() == sources
    for call in sources:
        plan.end(call, json_result(VALUES[call.id.decode()]))
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    assert plan.take() == asking
    # All that they look at is some 40 MB; the values and the index of one evaluation are a few.
    assert tracemalloc.get_traced_memory()[1] - before < 12 << 20
    assert {0 if call.refusal is None else call.refusal.status for call in asking} == {status}
