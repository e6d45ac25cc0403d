"""@pnp/sp against a gateway: SharePoint's multipart with bare line feeds, answered flat (PR-07, flat_change_sets)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/sites/dev/_api/"


def test_chunks_change_sets_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, ROOT, flat_change_sets=True) as (things, origin):
        said = run_node("drive_pnp_sp.mjs", origin + "/sites/dev")
        assert said["names"] == ["alpha", MADE, CHANGED]
        assert said["failures"] == [404, 404, 404, 501, 501]
        assert "AtomicityNotSupported" in said["refusal"]
        assert things.calls == [
            f"GET {ROOT}things(1)",
            f"POST {ROOT}things",
            f"GET {ROOT}things(71)",
            f"PATCH {ROOT}things(71)",
            f"GET {ROOT}things(71)",
            f"DELETE {ROOT}things(71)",
            *[f"GET {ROOT}things(2)"] * 18,
            f"GET {ROOT}things(404)",
            f"GET {ROOT}things(2)",
            f"GET {ROOT}things(404)",
            f"PATCH {ROOT}things(405)",
            f"GET {ROOT}things(1)",
            f"GET {ROOT}things(2)",
        ]
        assert things.names() == ["alpha", "beta"]
        assert authorizations(things) == {"Bearer outer-token"}
