"""What is read out of h2load's report, and which runs are no measurement."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import h2load
from bench.h2load import Load, Request

REPORT = """finished in 1.00s, 4529.00 req/s, 1.25MB/s
requests: 4529 total, 4530 started, 4529 done, {good} succeeded, {bad} failed, 0 errored, 0 timeout
status codes: 4529 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.25MB (1305527) total, 8.86KB (9070) headers (space savings 94.73%), 1.11MB (1165051) data
"""
WHOLE_ANSWER = 1165051 // 4529


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program named h2load first in the search path that prints a report."""

    def put(report: str) -> None:
        program = tmp_path / "h2load"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{report}\nEND\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return put


def measure(answer_bytes: int) -> dict[str, float]:
    request = Request("http://127.0.0.1:1/", b"body", [("te", "trailers")], answer_bytes)
    return h2load.measure(request, Load(1, 1), 2.0, os.getpid())


def test_rate_is_what_was_done_in_the_window(reports: Callable[[str], None]) -> None:
    reports(REPORT.format(good=4529, bad=0))
    assert measure(WHOLE_ANSWER)["requests_per_second"] == 4529 / 2


def test_a_failed_request_is_no_measurement(reports: Callable[[str], None]) -> None:
    reports(REPORT.format(good=4528, bad=1))
    with pytest.raises(RuntimeError, match="failed requests"):
        measure(WHOLE_ANSWER)


def test_answers_that_are_too_short_are_no_measurement(reports: Callable[[str], None]) -> None:
    # A gRPC error has status 200 and no message.
    reports(REPORT.format(good=4529, bad=0))
    with pytest.raises(RuntimeError, match="too short"):
        measure(WHOLE_ANSWER * 2)


def test_a_report_that_says_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="says nothing"):
        h2load.parse("starting benchmark...")
