"""@odata/client against a gateway: as JSON, answered in request order (GW-23), and as multipart in spite of its
`Accept: application/json` (PR-03, GW-09)."""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, came_in_order, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/odata/v4/svc/"
BASIC = "Basic dTpw"


def test_json(tmp_path: Path) -> None:
    with served(tmp_path, ROOT) as (things, origin):
        said = run_node("drive_odata_client.mjs", origin + ROOT)
        assert said["statuses"] == [200, 200, 201, 200, 204, 200, 404, 424, 204, 501, 501, 200]
        assert said["names"] == [MADE, CHANGED]
        assert said["refusal"]["code"] == "AtomicityNotSupported"
        one = [f"{verb} {ROOT}things(71)" for verb in ("GET", "PATCH", "GET", "DELETE")]
        assert Counter(things.calls) == Counter(
            [
                f"POST {ROOT}things",
                *one,
                f"GET {ROOT}things(1)",
                f"GET {ROOT}things(2)",
                f"GET {ROOT}things(2)",
                f"GET {ROOT}things(404)",
            ]
        )
        assert came_in_order(things.calls, f"POST {ROOT}things", *one)
        assert things.names() == ["alpha", "beta"]
        assert authorizations(things) == {BASIC}


def test_multipart(tmp_path: Path) -> None:
    with served(tmp_path, ROOT) as (things, origin):
        said = run_node("drive_odata_client_multipart.mjs", origin + ROOT)
        assert said == {
            "statuses": [200, 200, 201, 200, 204, 200, 204, 404, 404, 409, 404, 200],
            "names": [MADE, CHANGED],
        }
        # MP-01: in the order of the document.
        assert things.calls == [
            f"GET {ROOT}things(1)",
            f"GET {ROOT}things?$top=1",
            f"POST {ROOT}things",
            f"GET {ROOT}things(71)",
            f"PATCH {ROOT}things(71)",
            f"GET {ROOT}things(71)",
            f"DELETE {ROOT}things(71)",
            f"GET {ROOT}things(404)",
            f"GET {ROOT}things(404)",
            f"POST {ROOT}things",
            f"PATCH {ROOT}things(404)",
            f"GET {ROOT}things(2)",
        ]
        assert things.names() == ["alpha", "beta"]
        assert authorizations(things) == {BASIC}
