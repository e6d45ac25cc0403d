"""OpenUI5's V2 ODataModel in Chromium against a gateway: MERGE (CL-03), and going on after a 404 (CL-04)."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/odata/v2/svc/"


def test_reads_go_on_after_a_failure_and_changes_are_merged(tmp_path: Path) -> None:
    with served(tmp_path, ROOT) as (things, origin):
        program = shutil.which("chromium") or ""
        said = run_node("drive_ui5.mjs", origin, things.origin, ROOT, program, environment="ui5")
        assert said == {
            "read": [{"status": 200, "name": "alpha"}, {"status": 404}, {"status": 200, "name": "beta"}],
            "changed": {"status": 204},
            "made": {"status": 201, "name": MADE},
            "refused": {"status": 404},
            "after": [{"status": 200, "name": CHANGED}, {"status": 200, "name": MADE}],
            "single": ["$metadata"],
        }
        calls = Counter(things.calls)
        assert calls[f"MERGE {ROOT}things(1)"] == 1
        assert calls[f"GET {ROOT}things(2)"] == 1
        assert {"Bearer outer-token"} == authorizations(things) - {None}
