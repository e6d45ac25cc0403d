"""The rules of docs/contract.md, and which of them the tests of a run have borne out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"
_ROW = re.compile(r"^\| ([A-Z]{2})-(\d\d) \|", re.MULTILINE)
_IN_NAME = re.compile(r"(?<=_)([A-Z]{2})_(\d\d)(?=_|\[|$)")


def rules() -> list[str]:
    """The ids of those that the gateway keeps: all but in sections whose title ends in "not yet"."""
    sections = re.split(r"^#{2,3} ", CONTRACT.read_text("utf-8"), flags=re.MULTILINE)
    return [
        f"{family}-{number}"
        for section in sections
        if not section.partition("\n")[0].endswith("not yet")
        for family, number in _ROW.findall(section)
    ]


def named_in(test: str) -> set[str]:
    """The ids in the name of a test."""
    return {f"{family}-{number}" for family, number in _IN_NAME.findall(test)}


class RuleCoverage:
    """Of a run of the whole suite, every rule must have a test that passed: a skipped one proves nothing."""

    def __init__(self, config: pytest.Config) -> None:
        narrowed = any(
            getattr(config.option, name, None) for name in ("keyword", "markexpr", "deselect", "ignore", "lf")
        )
        self._whole = not narrowed and config.args in ([str(CONTRACT.parents[1] / "tests")], ["tests"], ["tests/"])
        self._passed: set[str] = set()
        self.missing: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed |= named_in(report.nodeid.rpartition("::")[2])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._whole and session.shouldstop is False and session.shouldfail is False:
            self.missing = [rule for rule in rules() if rule not in self._passed]
            if self.missing and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.missing:
            terminalreporter.write_line(f"no test passed for the rules {', '.join(self.missing)}", red=True)
