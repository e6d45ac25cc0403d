"""What a part hands to the report: tables of text, and figures by name. Must never measure."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Sample = dict[str, float]
"""The figures of one measured window."""


@dataclass
class Table:
    """One table; every row has as many cells as there are columns. Notes follow it, a line each."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """What one part found: its tables, and the figures (medians) that targets are checked against."""

    tables: list[Table] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def median(samples: Iterable[Sample], name: str) -> float:
    """The median of one figure over all rounds."""
    return statistics.median(sample[name] for sample in samples)


def spread(samples: Sequence[Sample], name: str) -> str:
    """`median (least to most)` of one figure over all rounds."""
    values = [sample[name] for sample in samples]
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """A figure with three digits that say something: 0.123, 12.3, 1,235."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
