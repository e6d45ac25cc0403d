"""What docs/dialects.md says of conditions: its grammar, its functions, and its examples."""

import re
from pathlib import Path

import pytest
from batchwire.core.plan import conditions

SECTION = (Path(__file__).parents[3] / "docs" / "dialects.md").read_text("utf-8").partition("## Conditions\n")[2]
SECTION = SECTION.partition("\n## ")[0]
ANSWERS = {b"items/0/price": 6, b"name": "a table"}


class Seen:
    """Calls that failed with 404, and one answer for all of them."""

    def succeeded(self, name: bytes) -> bool:
        return False

    def status(self, name: bytes) -> int:
        return 404

    def value(self, name: bytes, path: tuple[bytes, ...]) -> object:
        return ANSWERS.get(b"/".join(path))

    def spend(self, work: int) -> None:
        pass


def test_the_grammar_is_that_of_the_code() -> None:
    block = re.search(r"(?:^    .*\n)+", SECTION, re.MULTILINE)
    assert block is not None
    assert conditions.__doc__ is not None
    assert block.group().strip() in conditions.__doc__


def test_the_functions_are_those_of_the_code() -> None:
    rows = SECTION.partition("| function |")[2].partition("\n\n")[0]
    found = {name: words.count(",") + 1 for name, words in re.findall(r"`(\w+)\(([^)]*)\)`", rows)}
    assert found == conditions._FUNCTIONS


EXAMPLES = re.findall(r"^\| `([^`]+)` \|", SECTION.partition("| expression |")[2].partition("\n\n")[0], re.MULTILINE)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_condition_that_is_true_then(text: str) -> None:
    assert conditions.parse(text.encode()).evaluate(Seen())
