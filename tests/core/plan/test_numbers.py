"""Numbers in conditions are compared exactly: rule PL-14."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from batchwire.core.plan.conditions import ConditionError, parse
from hypothesis import example, given
from hypothesis import strategies as st

INTEGERS = st.one_of(st.integers(-5, 5), st.integers(2**53 - 3, 2**53 + 3), st.integers(-(10**40), 10**40))
NUMBERS = st.builds(
    "{}{}{}".format,
    INTEGERS,
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,30}", fullmatch=True)),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E", "e+"]), st.integers(0, 40)),
              st.builds("e-{}".format, st.integers(0, 40))),
)  # fmt: skip


class Nothing:
    """No call has answered."""


def holds(text: str) -> bool:
    return parse(text.encode()).evaluate(Nothing())


@given(NUMBERS, NUMBERS)
@example("9007199254740993", "9007199254740992")
@example("9007199254740993.0", "9007199254740992")
@example("0.1", "0.1000000000000000055511151231257827")
@example("1.0", "1")
@example("-0", "0.0")
@example("10e-1", "1")
def test_PL_14_as_fractions_compare(left: str, right: str) -> None:
    a, b = Fraction(left), Fraction(right)
    for name, expected in (
        ("eq", a == b), ("ne", a != b), ("lt", a < b), ("le", a <= b), ("gt", a > b), ("ge", a >= b),
    ):  # fmt: skip
        assert holds(f"{left} {name} {right}") is expected, name
    assert holds(f"{left} in ({right})") is (a == b)


@pytest.mark.parametrize("large", ["1e999999999", "0.1e1000000000", "1e1000000000000"])
def test_PL_14_the_exponent_costs_nothing(large: str) -> None:
    """A number of that many digits would take gigabytes: this ends at once or not at all."""
    assert holds(f"{large} gt {'9' * 3000}")
    assert holds(f"-{large} lt -{'9' * 3000}")
    assert holds(f"1{large[large.index('e') :].replace('e', 'e-')} lt {'0.' + '0' * 3000}1")
    assert not holds(f"{large} eq 1{large}")


@pytest.mark.parametrize("text", ["1e99999999999999999999", "1e-99999999999999999999", "1." + "0" * 4090 + "e1"])
def test_PL_14_beyond_every_bound_it_cannot_be_evaluated(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(f"{text} gt 0".encode())


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_PL_14_infinity_and_nan_are_no_numbers(value: Decimal) -> None:
    for word in ("NaN", "INF", "Infinity", "-INF"):
        with pytest.raises(ConditionError):
            parse(f"{value:f} lt {word}".encode())
