"""@pnp/graph against a gateway: JSON batches in chunks of 20, which over plain http go to /$batch."""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)


def test_chunks_changes_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, "/", "/v1.0/") as (things, origin):
        said = run_node("drive_pnp_graph.mjs", origin)
        assert said == {"names": ["alpha", MADE, CHANGED], "failures": [404, 404], "many": 21}
        assert Counter(things.calls) == {
            "GET /v1.0/things/1": 2,
            "POST /v1.0/things": 1,
            "GET /v1.0/things/2": 22,
            "GET /v1.0/things/404": 1,
            "PATCH /v1.0/things/71": 1,
            "DELETE /v1.0/things/1": 1,
            "GET /v1.0/things/71": 1,
        }
        assert things.names() == [CHANGED, "beta"]
        assert authorizations(things) == {"Bearer outer-token"}
