"""google-api-python-client against a gateway: multipart with bare line feeds, Content-ID echoed, calls concurrent."""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, MADE, authorizations, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)

THINGS = "/thing/v1/things"


def test_reads_writes_failures_and_many_calls(tmp_path: Path) -> None:
    with served(tmp_path, "/") as (things, origin):
        said = run_python("drive_google.py", origin + "/")
        assert said["names"] == {"1": "alpha", "make/ü +x": MADE, "change": CHANGED}
        assert said["failures"] == [404, 409]
        assert said["many"] == [100, 50]
        assert Counter(things.calls) == {
            f"GET {THINGS}/1?alt=json": 2,
            f"GET {THINGS}/404?alt=json": 51,
            f"GET {THINGS}/2?alt=json": 100,
            f"GET {THINGS}?alt=json": 1,
            f"POST {THINGS}?alt=json": 2,
            f"PATCH {THINGS}/2?alt=json": 1,
            f"DELETE {THINGS}/71": 1,
        }
        assert things.names() == [CHANGED, "alpha"]
        assert authorizations(things) == {"Bearer inner-token"}
