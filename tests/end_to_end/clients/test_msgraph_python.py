"""msgraph-core, pinned and newest, against a gateway: JSON batches whose dependencies are spelled `depends_on`.

Must never look at the bytes: what counts is what the client makes of the answer and what the upstream saw.
"""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, came_in_order, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)

STATUSES = {
    "1": 200,
    "2": 200,
    "make": 201,
    "after": 200,
    "change": 204,
    "changed": 200,
    "nope": 404,
    "unmade": 424,
    "remove": 204,
}
CALLS = Counter(
    [
        "GET /v1.0/things/1",
        "GET /v1.0/things/2",
        "POST /v1.0/things",
        "GET /v1.0/things/71",
        "PATCH /v1.0/things/71",
        "GET /v1.0/things/71",
        "GET /v1.0/things/404",
        "DELETE /v1.0/things/1",
    ]
)
CHAIN = ["POST /v1.0/things", "GET /v1.0/things/71", "PATCH /v1.0/things/71", "GET /v1.0/things/71"]


def test_bodies_dependencies_and_a_long_collection(tmp_path: Path) -> None:
    with served(tmp_path, "/v1.0/") as (things, origin):
        said = run_python("drive_msgraph.py", origin + "/v1.0")
        assert said["statuses"] == STATUSES
        assert said["names"] == {"1": "alpha", "2": "beta", "make": MADE, "after": MADE, "changed": CHANGED}
        assert said["collected"] == 50
        first, more = things.calls[: CALLS.total()], things.calls[CALLS.total() :]
        assert Counter(first) == CALLS
        assert came_in_order(first, *CHAIN)  # GW-22: `depends_on` is honoured
        assert came_in_order(first, "GET /v1.0/things/1", "DELETE /v1.0/things/1")
        assert Counter(more) == {"GET /v1.0/things/2": 25, "GET /v1.0/things/404": 25}
        assert things.names() == [CHANGED, "beta"]
        assert authorizations(things) == {"Bearer outer-token"}


def test_newest_versions(tmp_path: Path) -> None:
    with served(tmp_path, "/v1.0/") as (things, origin):
        said = run_python("drive.py", origin + "/v1.0", environment="msgraph_python_latest")
        assert said == {"statuses": STATUSES}
        assert Counter(things.calls) == CALLS
        assert came_in_order(things.calls, *CHAIN)
        assert things.names() == [CHANGED, "beta"]
