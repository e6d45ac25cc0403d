"""pyodata (OData V2): metadata, batches with change sets of one write, failures, a change set of two writes.

Usage: drive.py BASE_URL (such as http://127.0.0.1:8080/odata/v2/svc/). `$metadata` is no part of a batch and comes
from METADATA_URL, the service root of the upstream.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pyodata
import requests
from pyodata.exceptions import HttpError


def changing(service: Any, request: Any) -> Any:
    changes = service.create_changeset()
    changes.add_request(request)
    return changes


def failure(run: Callable[[], Any]) -> HttpError:
    try:
        result = run()
    except HttpError as error:
        return error
    raise AssertionError(f"no failure but {result}")


def run(base: str, metadata_url: str) -> dict[str, Any]:
    session = requests.Session()
    session.headers["Authorization"] = "Bearer outer-token"
    metadata = session.get(metadata_url + "$metadata").content
    service = pyodata.Client(base, session, metadata=metadata)
    things = service.entity_sets.things

    batch = service.create_batch()
    batch.add_request(things.get_entity(1))
    batch.add_request(changing(service, things.create_entity().set(id=71, name="gämma 日本")))
    batch.add_request(things.get_entity(71))
    batch.add_request(changing(service, things.update_entity(71).set(name="Größe ✓")))
    batch.add_request(things.get_entity(71))
    batch.add_request(things.get_entities())
    batch.add_request(changing(service, things.delete_entity(71)))
    first, made, read, _, changed, listed, _ = batch.execute()
    assert (first.id, first.name) == (1, "alpha"), first
    assert made[0].name == read.name == "gämma 日本", (made, read)
    assert changed.name == "Größe ✓", changed
    assert [thing.id for thing in listed] == [1, 2, 71], listed

    batch = service.create_batch()
    batch.add_request(things.get_entity(2))
    batch.add_request(things.get_entity(404))
    missing = failure(batch.execute).response
    assert missing.status_code == 404, missing.status_code
    assert json.loads(missing.content)["error"]["message"]["value"] == "no thing 404", missing.content

    batch = service.create_batch()
    batch.add_request(changing(service, things.update_entity(404).set(name="x")))
    unchanged = failure(batch.execute).response
    assert unchanged.status_code == 404, unchanged.status_code

    batch = service.create_batch()
    batch.add_request(things.get_entity(2))
    changes = service.create_changeset()
    changes.add_request(things.create_entity().set(id=72, name="one"))
    changes.add_request(things.update_entity(2).set(name="two"))
    batch.add_request(changes)
    refused = failure(batch.execute).response
    assert refused.status_code == 501, refused.status_code
    message = json.loads(refused.content)["error"]
    return {
        "names": [first.name, made[0].name, changed.name],
        "failures": [missing.status_code, unchanged.status_code, refused.status_code],
        "refusal": message,
    }


print(json.dumps(run(sys.argv[1], sys.argv[2])))
