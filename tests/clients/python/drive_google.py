"""google-api-python-client: batches of reads, writes and failures, long and odd request ids, 150 calls in one.

Usage: drive.py BASE_URL (the gateway's origin). The discovery document is the smallest that the client takes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httplib2
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

ID = {"id": {"type": "string", "required": True, "location": "path"}}


def method(name: str, verb: str, path: str, **more: Any) -> dict[str, Any]:
    return {"id": f"thing.things.{name}", "httpMethod": verb, "path": path, "response": {"$ref": "Thing"}, **more}


def document(base: str) -> dict[str, Any]:
    with_id = {"parameters": ID, "parameterOrder": ["id"]}
    body = {"request": {"$ref": "Thing"}}
    methods = {
        "get": method("get", "GET", "things/{id}", **with_id),
        "list": method("list", "GET", "things"),
        "insert": method("insert", "POST", "things", **body),
        "patch": method("patch", "PATCH", "things/{id}", **with_id, **body),
        "delete": method("delete", "DELETE", "things/{id}", **with_id),
    }
    del methods["delete"]["response"]
    return {
        "kind": "discovery#restDescription",
        "id": "thing:v1",
        "name": "thing",
        "version": "v1",
        "rootUrl": base,
        "servicePath": "thing/v1/",
        "baseUrl": base + "thing/v1/",
        "batchPath": "batch/thing/v1",
        "parameters": {"alt": {"type": "string", "default": "json", "enum": ["json"], "location": "query"}},
        "schemas": {
            "Thing": {
                "id": "Thing",
                "type": "object",
                "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
            }
        },
        "resources": {"things": {"methods": methods}},
    }


class Answers:
    """What the batch's callback was told, by request id."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.failures: dict[str, HttpError] = {}

    def __call__(self, request_id: str, value: Any, error: HttpError | None) -> None:
        assert request_id not in self.values
        assert request_id not in self.failures
        if error is None:
            self.values[request_id] = value
        else:
            self.failures[request_id] = error


def run(base: str) -> dict[str, Any]:
    http = AuthorizedHttp(Credentials("inner-token"), http=httplib2.Http(timeout=30))
    service = build_from_document(document(base), http=http)
    things = service.things()

    first = Answers()
    batch = service.new_batch_http_request(callback=first)
    batch.add(things.get(id="1"), request_id="1")
    batch.add(things.get(id="404"), request_id="nope")
    batch.add(things.insert(body={"id": 71, "name": "gämma 日本"}), request_id="make/ü +x")
    batch.add(things.patch(id="2", body={"name": "Größe ✓"}), request_id="change")
    batch.add(things.get(id="1"), request_id="a-long-request-id-" + "x" * 60)
    batch.execute()
    assert set(first.failures) == {"nope"}, first.failures
    assert first.failures["nope"].resp.status == 404, first.failures
    assert "no thing 404" in str(first.failures["nope"]), first.failures
    names = {name: value["name"] for name, value in first.values.items()}
    assert names.pop("a-long-request-id-" + "x" * 60) == "alpha"
    assert names == {"1": "alpha", "make/ü +x": "gämma 日本", "change": "Größe ✓"}, names

    second = Answers()
    batch = service.new_batch_http_request(callback=second)
    batch.add(things.delete(id="71"), request_id="delete")
    batch.add(things.list(), request_id="list")
    batch.add(things.insert(body={"id": 1, "name": "again"}), request_id="twice")
    batch.execute()
    assert second.values["delete"] == "", second.values
    assert {1, 2} <= {thing["id"] for thing in second.values["list"]["items"]}, second.values
    assert second.failures["twice"].resp.status == 409, second.failures

    third = Answers()
    batch = service.new_batch_http_request(callback=third)
    for number in range(150):
        batch.add(things.get(id="2" if number % 3 else "404"))
    batch.execute()
    assert len(third.values) == 100, len(third.values)
    assert {value["name"] for value in third.values.values()} == {"Größe ✓"}
    assert {error.resp.status for error in third.failures.values()} == {404}
    return {
        "names": names,
        "failures": [first.failures["nope"].resp.status, second.failures["twice"].resp.status],
        "many": [len(third.values), len(third.failures)],
    }


print(json.dumps(run(sys.argv[1])))
