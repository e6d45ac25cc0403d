"""google-cloud-storage: changes and deletions in one batch, whose parts have no Content-ID; failures beside them.

Usage: drive.py BASE_URL (the gateway's origin).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage


def run(base: str) -> dict[str, Any]:
    client = storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": base.rstrip("/")}
    )
    bucket = client.bucket("bkt")
    blob = bucket.blob("a b/ä.txt")
    with client.batch():
        blob.metadata = {"k": "vä"}
        blob.patch()
        bucket.delete_blob("old")
    assert blob.metadata == {"k": "vä"}, blob.metadata

    batch = client.batch(raise_exception=False)
    with batch:
        bucket.delete_blob("none")
        blob.metadata = {"k": "Größe ✓"}
        blob.patch()
        bucket.blob("none too").patch()
    answers = [answer.status_code for answer in batch._responses]
    assert blob.metadata == {"k": "Größe ✓"}, blob.metadata

    try:
        with client.batch():
            bucket.delete_blob("none")
    except NotFound as error:
        return {"answers": answers, "raised": error.code, "metadata": blob.metadata}
    raise AssertionError("no failure of a batch that deletes what is not there")


print(json.dumps(run(sys.argv[1])))
