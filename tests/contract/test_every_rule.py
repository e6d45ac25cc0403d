"""Every rule of docs/contract.md that the gateway keeps has a test that bears its id and says something.

The ids are read from the contract's own tables; only a section whose title ends in "not yet" is left out.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONTRACT = TESTS.parent / "docs" / "contract.md"
RULE = re.compile(r"^\| ([A-Z]{2})-(\d\d) \|", re.MULTILINE)


def rules() -> list[str]:
    sections = re.split(r"^#{2,3} ", CONTRACT.read_text("utf-8"), flags=re.MULTILINE)
    return [
        f"{family}-{number}"
        for section in sections
        if not section.partition("\n")[0].endswith("not yet")
        for family, number in RULE.findall(section)
    ]


def says_something(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it has an assertion, or hands the judgement to a helper that it calls by name."""
    return any(isinstance(node, ast.Assert | ast.Call) for statement in test.body for node in ast.walk(statement))


def names_of_tests() -> str:
    found = []
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name.startswith("test_")
                and says_something(node)
            ):
                found.append(node.name)
    return "\n".join(found)


NAMES = names_of_tests()


@pytest.mark.parametrize("rule", rules())
def test_there_is_a_test_named_for(rule: str) -> None:
    assert re.search(rf"_{rule.replace('-', '_')}(?:_|$)", NAMES, flags=re.MULTILINE)


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
