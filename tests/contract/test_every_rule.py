"""Every rule of docs/contract.md that the gateway keeps has a test that bears its id and says something.

That such a test also ran and passed is checked at the end of a run of the whole suite (harness.rules).
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from harness.rules import RuleCoverage, named_in, rules

TESTS = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> dict[str, list[Function]]:
    """All functions of the tests and their harness, by name."""
    found: dict[str, list[Function]] = {}
    for file in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, Function):
                found.setdefault(node.name, []).append(node)
    return found


FUNCTIONS = functions()


def called(node: ast.Call) -> str:
    """The name of what is called, without what it belongs to."""
    return getattr(node.func, "id", None) or getattr(node.func, "attr", "")


def asserting() -> set[str]:
    """Names of functions that assert something, themselves or through others of the tests."""
    direct, calls = set(), {}
    for name, nodes in FUNCTIONS.items():
        inner = [one for node in nodes for one in ast.walk(node)]
        calls[name] = {called(one) for one in inner if isinstance(one, ast.Call)}
        if any(isinstance(one, ast.Assert | ast.Raise) for one in inner) or "raises" in calls[name]:
            direct.add(name)
    found: set[str] = set()
    while direct:
        found |= direct
        direct = {name for name, others in calls.items() if others & found} - found
    return found


TESTED = {rule for name in asserting() if name.startswith("test_") for rule in named_in(name)}


@pytest.mark.parametrize("rule", rules())
def test_there_is_a_test_named_for(rule: str) -> None:
    assert rule in TESTED


def test_ids_are_used_once_and_numbered_without_gaps() -> None:
    assert [rule for rule, times in Counter(rules()).items() if times > 1] == []
    families: dict[str, list[int]] = {}
    for rule in rules():
        family, _, number = rule.partition("-")
        families.setdefault(family, []).append(int(number))
    assert {"GB", "JB", "MB", "MP", "GW", "PR"} <= families.keys()
    assert {family: sorted(numbers) for family, numbers in families.items()} == {
        family: list(range(1, len(numbers) + 1)) for family, numbers in families.items()
    }


class Stand:
    """What RuleCoverage looks at of a run."""

    keyword = markexpr = deselect = ignore = lf = None
    shouldstop = shouldfail = False
    exitstatus: int = pytest.ExitCode.OK

    def __init__(self, *args: str) -> None:
        self.option, self.args = self, list(args)
        self.when, self.passed, self.nodeid = "call", True, ""


@pytest.mark.parametrize(("args", "status"), [(["tests"], 1), (["tests/contract"], 0)])
def test_a_rule_without_a_test_that_passed_fails_a_whole_run(args: list[str], status: int) -> None:
    run = Stand(*args)
    coverage = RuleCoverage(run)
    for rule in rules()[1:]:
        run.nodeid = f"tests/x.py::test_{rule.replace('-', '_')}_is_kept[a-b]"
        coverage.pytest_runtest_logreport(run)
    run.passed, run.nodeid = False, f"tests/x.py::test_{rules()[0].replace('-', '_')}_is_kept"
    coverage.pytest_runtest_logreport(run)
    coverage.pytest_sessionfinish(run)
    assert run.exitstatus == status
    assert coverage.missing == (rules()[:1] if status else [])
