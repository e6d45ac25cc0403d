"""Every rule that concerns what the gateway does with a batch has a test that bears its id.

The ids come from the contract's sections 1.1 to 1.8, 1.10, 1.12 and 1.13. None of these may be left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

COUNTS = {
    "GB": 15,
    "HD": 23,
    "ID": 14,
    "JB": 28,
    "JP": 4,
    "JR": 13,
    "MB": 21,
    "MP": 15,
    "ER": 8,
    "CF": 1,
    "GW": 23,
    "PR": 8,
}
RULES = [f"{prefix}-{n:02}" for prefix, count in COUNTS.items() for n in range(1, count + 1)]


def names_of_tests() -> str:
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    found = [re.findall(r"^def (test_\w+)", file.read_text(), flags=re.MULTILINE) for file in files]
    return "\n".join(name for names in found for name in names)


@pytest.mark.parametrize("rule", RULES)
def test_there_is_a_test_named_for(rule: str) -> None:
    assert f"test_{rule.replace('-', '_')}_" in names_of_tests()
