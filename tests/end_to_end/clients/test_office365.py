"""Office365-REST-Python-Client against a gateway: MERGE in a change set (CL-03), answered flat (flat_change_sets)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, authorizations, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/sites/dev/_api/"


def test_reads_a_merge_and_a_failure(tmp_path: Path) -> None:
    with served(tmp_path, ROOT, flat_change_sets=True) as (things, origin):
        said = run_python("drive_office365.py", f"{origin}/sites/dev", things.origin, environment="python_more")
        assert said == {"titles": ["before", CHANGED], "failure": 404}
        assert things.calls == [
            f"POST {ROOT}contextInfo",
            f"GET {ROOT}Web",
            f"MERGE {ROOT}Web",
            f"GET {ROOT}Web",
            f"GET {ROOT}Web/lists/GetByTitle('none')",
        ]
        assert authorizations(things) == {"Bearer outer-token"}
