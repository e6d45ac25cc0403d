"""The public document SDKs, unmodified, against `batchwire demo`: single calls, batches, chains, resultOf.

The scripts check what they get themselves; here it is checked that they went all the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.environments import node_environment, python_environment, run_client
from harness.gateway import Demo

CLIENTS = Path(__file__).resolve().parents[2] / "clients"

# The first run installs the SDKs.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as running:
        yield running


def test_python(demo: Demo) -> None:
    folder = CLIENTS / "aspose_python"
    command = [python_environment(folder), folder / "drive.py", f"http://127.0.0.1:{demo.http_port}"]
    found = run_client(command, folder)
    assert found["single"]["matches"] == 1
    assert found["concurrent"] == {"results": 5, "failed_with": 404}
    assert found["chain"]["order"] == ["zweite Zeile"]
    assert found["result_of"]["paragraphs"] == ["eins", "zwei drei"]
    assert found["nested_form"] == {"ran": True}
    assert found["delete"] == {"after_deletion": 404}


def test_node(demo: Demo) -> None:
    folder = node_environment(CLIENTS / "aspose_node")
    found = run_client(["node", "drive.cjs", f"http://127.0.0.1:{demo.http_port}"], folder)
    assert found["single"]["matches"] == 1
    assert found["concurrent"] == {"results": 5, "failedIsEmpty": True}
    assert found["chain"]["order"] == ["erste Zeile", "zweite Zeile – grün"]
    assert found["resultOf"]["paragraphs"] == ["eins", "zwei drei"]
    assert found["batchOfOne"] == {"results": 1}
    assert found["remove"] == {"afterDeletion": 404}
