"""@sap-cloud-sdk/odata-v4 against a gateway: multipart with nested change sets (PR-07), all forms of inner URLs
(MB-10, PR-05), its CSRF probe (PR-08), and the refusal of a change set that needs a transaction (GW-04)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)

ROOT = "/odata/v4/svc/"


def test_every_form_of_url_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, ROOT) as (things, origin):
        said = run_node("drive_sap_cloud_sdk.mjs", origin)
        assert said["forms"] == ["relativeToService", "relativeToEntity", "noPath", "absolute"]
        assert said["names"] == ["alpha", MADE, CHANGED] * 4
        assert said["failures"] == [404, 404, 404, 404, 404, 501]
        assert said["refusal"]["code"] == "AtomicityNotSupported"
        expected = []
        for number in range(71, 75):
            expected += [
                f"GET {ROOT}things(id=1)",
                f"GET {ROOT}things",
                f"POST {ROOT}things",
                f"GET {ROOT}things(id={number})",
                f"PATCH {ROOT}things(id={number})",
                f"GET {ROOT}things(id={number})",
                f"DELETE {ROOT}things(id={number})",
                f"GET {ROOT}things(id=404)",
            ]
        expected += [f"DELETE {ROOT}things(id=404)", f"GET {ROOT}things(id=2)"]
        assert things.calls == expected  # nothing of the refused change set
        assert things.names() == ["alpha", "beta"]
        assert authorizations(things) == {"Bearer outer-token"}
