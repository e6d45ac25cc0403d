"""@microsoft/microsoft-graph-client against a gateway: JSON batches; the header name must be `Content-Type` (PR-02)."""

from pathlib import Path

import pytest
from foreign import INSTALL, came_in_order, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)


def test_dependencies_failures_and_a_refused_batch(tmp_path: Path) -> None:
    with served(tmp_path, "/v1.0/") as (things, origin):
        said = run_node("drive_msgraph.mjs", origin + "/")
        assert said["statuses"] == {
            "make": 201,
            "after": 200,
            "first": 200,
            "second": 200,
            "nope": 404,
            "twice": 409,
            "change": 204,
            "read": 200,
            "remove": 204,
            "gone": 404,
            "never": 424,
        }
        assert (said["broken"], said["code"]) == (400, "DuplicateId")
        dependent, serial = things.calls[:6], things.calls[6:]
        assert dependent[0] == "POST /v1.0/things"
        assert sorted(dependent[1:]) == [
            "GET /v1.0/things/1",
            "GET /v1.0/things/2",
            "GET /v1.0/things/404",
            "GET /v1.0/things/71",
            "POST /v1.0/things",
        ]
        assert len(serial) == 4
        assert came_in_order(serial, *(f"{verb} /v1.0/things/71" for verb in ("PATCH", "GET", "DELETE", "GET")))
        assert things.names() == ["alpha", "beta"]
