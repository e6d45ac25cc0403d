"""microsoft-graph-core for Java against a gateway: JSON whose calls may have their content type twice (CL-02)."""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, authorizations, run_java, served

pytestmark = pytest.mark.timeout(INSTALL)


def test_reads_writes_dependencies_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, "/v1.0/") as (things, origin):
        said = run_java("DriveMsgraph.java", f"{origin}/v1.0")
        assert said == {"statuses": [200, 404, 201, 200, 424, 204]}
        assert Counter(things.calls) == {
            "GET /v1.0/things/1": 1,
            "GET /v1.0/things/404": 1,
            "POST /v1.0/things": 1,
            "GET /v1.0/things/71": 1,
            "PATCH /v1.0/things/1": 1,
        }
        assert CHANGED in things.names()
        assert authorizations(things) == {"Bearer outer-token"}
