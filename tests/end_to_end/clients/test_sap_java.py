"""SAP Cloud SDK for Java against a gateway: V2 by `OData-Version: 2.0`, which goes on after errors (CL-04, CL-05)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_java, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/odata/v2/svc/"


def test_reads_change_sets_and_a_failure(tmp_path: Path) -> None:
    with served(tmp_path, ROOT) as (things, origin):
        said = run_java("DriveSap.java", origin, ROOT.rstrip("/"))
        assert said == {"names": ["alpha", MADE], "statuses": [201, 204, 404]}
        assert things.calls == [
            f"GET {ROOT}things(1)",
            f"POST {ROOT}things",
            f"PATCH {ROOT}things(1)",
            f"GET {ROOT}things(404)",
            f"GET {ROOT}things(71)",
        ]
        assert CHANGED in things.names()
        assert authorizations(things) == {"Bearer outer-token"}
