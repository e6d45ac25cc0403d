"""pyodata against a gateway: OData V2 in multipart, for which the route answers 202 (PR-06)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/odata/v2/svc/"


def test_change_sets_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, ROOT, status_202=True) as (things, origin):
        said = run_python("drive_pyodata.py", origin + ROOT, things.origin + ROOT)
        assert said["names"] == ["alpha", MADE, CHANGED]
        assert said["failures"] == [404, 404, 501]
        assert said["refusal"]["code"] == "AtomicityNotSupported"
        assert things.calls == [
            f"GET {ROOT}$metadata",
            f"GET {ROOT}things%281%29",
            f"POST {ROOT}things",
            f"GET {ROOT}things%2871%29",
            f"PATCH {ROOT}things%2871%29",
            f"GET {ROOT}things%2871%29",
            f"GET {ROOT}things",
            f"DELETE {ROOT}things%2871%29",
            f"GET {ROOT}things%282%29",
            f"GET {ROOT}things%28404%29",
            f"PATCH {ROOT}things%28404%29",
            f"GET {ROOT}things%282%29",
        ]
        assert things.names() == ["alpha", "beta"]
        assert authorizations(things) == {"Bearer outer-token"}
