"""The example batches, played call by call as a gateway would, against a running demo."""

import base64
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from docx_files import opened

EXAMPLES = files("batchwire.demo") / "examples"
EXPECTED = {
    "three-concurrent": {"info": 200, "page": 200, "words": 200},
    "chain": {"new": 201, "add": 201, "text": 200, "drop": 204},
    "one-fails": {"good": 200, "missing": 404, "waits": 424, "also-good": 200},
    "binary": {"up": 201, "text": 200, "down": 200},
}


def play(client: httpx.Client, name: str) -> dict[str, httpx.Response]:
    """Run the calls in order; `$id` at the start of a URL is the Location that call answered with."""
    batch = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    answers: dict[str, httpx.Response] = {}
    for call in batch["requests"]:
        needed = [answers[other] for other in call.get("dependsOn", [])]
        url: str = call["url"]
        if not all(answer.is_success for answer in needed):
            answers[call["id"]] = httpx.Response(424)
            continue
        if url.startswith("$"):
            made, slash, rest = url[1:].partition("/")
            assert made in call["dependsOn"]
            url = answers[made].headers["location"].removeprefix("/v4/words/") + slash + rest
        headers = call.get("headers", {})
        content = encoded(call.get("body"), headers.get("content-type", "application/json"))
        answers[call["id"]] = client.request(call["method"].upper(), url, content=content, headers=headers)
    return answers


def encoded(body: Any, kind: str) -> bytes | None:
    if body is None:
        return None
    if kind == "application/json":
        return json.dumps(body).encode()
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def test_every_example_is_expected() -> None:
    assert {entry.name for entry in EXAMPLES.iterdir()} == {f"{name}.json" for name in EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_example(client: httpx.Client, name: str) -> None:
    answers = play(client, name)
    assert {key: answer.status_code for key, answer in answers.items()} == EXPECTED[name]
    again = play(client, name)
    assert all(answer.status_code < 500 and answer.status_code != 409 for answer in again.values())


def test_what_the_chain_made(client: httpx.Client) -> None:
    assert play(client, "chain")["text"].text == "Minutes of the meeting\n- Everybody agreed.\n"


def test_what_travelled(client: httpx.Client) -> None:
    answers = play(client, "binary")
    assert answers["text"].text == "A document that travelled as base64url.\n"
    assert opened(answers["down"].content).paragraphs[0].text == answers["text"].text.strip()


def test_the_readme_shows_the_chain_as_it_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    shown = re.search(r"\(`chain\.json`\).*?```json\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert shown[1] == (EXAMPLES / "chain.json").read_text("utf-8")
