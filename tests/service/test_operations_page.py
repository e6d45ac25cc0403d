"""docs/operations.md names every metric of a running gateway with its labels, and none that is not there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from batchwire.core import OUTCOMES
from harness import config
from harness.batches import REST, Call, run_batch
from harness.gateway import Gateway
from harness.rest import request
from prometheus_client.parser import text_string_to_metric_families

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
ROW = re.compile(r"^\| `(batchwire_\w+)` \| ?((?:`\w+`(?:, )?)*) ?\|", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in ROW.findall(PAGE)}


def exported(text: str) -> dict[str, set[str]]:
    """Metric names as queries have them, with the labels of their samples."""
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        if family.name.startswith("batchwire_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels[name].update(label for sample in family.samples for label in sample.labels if label != "le")
    return labels


def test_every_metric_is_on_the_page_and_nothing_else(tmp_path: Path) -> None:
    made = config.make({"dead": {"url": "http://127.0.0.1:9/"}}, [{"root": "/svc/", "upstream": "dead"}])
    with Gateway(made, tmp_path) as gateway:
        run_batch(REST, gateway, [Call("1", "x")])
        request(gateway.http_port, "POST", "/svc/$Batch", body=b"")
        status, text = gateway.get("/metrics")
    assert status == 200
    assert exported(text) == documented()


def test_every_outcome_is_on_the_page() -> None:
    table = PAGE.partition("### How a call ends")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| (?!status)", table, re.MULTILINE)[-len(OUTCOMES) :] == list(OUTCOMES)
