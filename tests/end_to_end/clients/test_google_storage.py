"""google-cloud-storage against a gateway: Google's multipart without Content-ID, answered in order (CL-06)."""

from collections import Counter
from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)

OBJECTS = "/storage/v1/b/bkt/o"


def test_changes_deletions_and_failures(tmp_path: Path) -> None:
    with served(tmp_path, "/") as (things, origin):
        said = run_python("drive_google_storage.py", origin, environment="python_more")
        assert said == {"answers": [404, 200, 404], "raised": 404, "metadata": {"k": CHANGED}}
        assert Counter(call.partition("?")[0] for call in things.calls) == {
            f"PATCH {OBJECTS}/a%20b%2F%C3%A4.txt": 2,
            f"DELETE {OBJECTS}/old": 1,
            f"DELETE {OBJECTS}/none": 2,
            f"PATCH {OBJECTS}/none%20too": 1,
        }
        assert things.blobs() == {"a b/ä.txt": {"k": CHANGED}}
