"""The commands of docs/examples.md, run by a shell against the demo as they stand there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.gateway import Demo

PAGE = (Path(__file__).parents[2] / "docs" / "examples.md").read_text("utf-8")
COMMANDS = dict(re.findall(r"^## ([^\n]+)\n\n```sh\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL))
STATUS = re.compile(r"^(?:HTTP/1\.1 )?(\d{3}) [A-Z]", re.MULTILINE)
EXPECTED = {
    "OData multipart, with a change set": [200, 201, 204],
    "Document dialect": [201, 200, 204],
    "Google dialect": [200, 404],
}


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as running:
        yield running


def run(demo: Demo, command: str, folder: Path) -> str:
    made = subprocess.run(
        ["bash", "-eu", "-c", command.replace("127.0.0.1:8080", demo.http_address)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return made.stdout


def test_each_example_has_its_statuses() -> None:
    assert list(COMMANDS) == list(EXPECTED)


@pytest.mark.parametrize("title", EXPECTED)
def test_an_example_answers_as_it_says(title: str, demo: Demo, tmp_path: Path) -> None:
    for _ in range(2):  # it leaves nothing behind
        answer = run(demo, COMMANDS[title], tmp_path)
        assert [int(status) for status in STATUS.findall(answer)] == EXPECTED[title], answer


def test_the_answer_of_the_google_dialect_names_the_parts(demo: Demo, tmp_path: Path) -> None:
    answer = run(demo, COMMANDS["Google dialect"], tmp_path)
    assert re.findall(r"Content-ID: <(response-\w+)>", answer) == ["response-first", "response-second"]
