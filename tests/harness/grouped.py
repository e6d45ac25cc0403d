"""What the tests of groups share: a scripted service of customers, calls of one group, and what an upstream was told.

Must never decide what a right answer is: that is said in the tests.
"""

from __future__ import annotations

import json
from typing import Any

from . import rest
from .batches import Call
from .batching import BatchingUpstream
from .scripted import Reply, json_reply, odata_error

JSON_TYPE = {"content-type": "application/json"}


def script_customers(things: BatchingUpstream) -> None:
    """POST Customers makes Customers(7) with its ETag; Customers(8) cannot be changed: 412; GET Missing is 404."""
    made = [("Location", f"{things.origin}/Customers(7)"), ("ETag", 'W/"7"')]
    things.on("POST", "/Customers", json_reply({"ID": 7, "Name": "Ada"}, 201, made))
    things.on("PATCH", "/Customers(7)", Reply(204))
    things.on("PATCH", "/Customers(8)", odata_error(412, "Changed", "changed meanwhile"))
    things.on("DELETE", "/Customers(3)", Reply(204))
    things.on("GET", "/Customers(7)", json_reply({"ID": 7, "Name": "Ada"}, headers=[("ETag", 'W/"7"')]))
    things.on("GET", "/Missing", odata_error(404, "Missing", "not there"))
    things.on("GET", "/ok")


def post(name: str, url: str = "Customers", value: Any = None, **more: Any) -> Call:
    """A POST of a JSON value, in the group g unless `more` says another."""
    return writes(name, "POST", url, value, **more)


def patch(name: str, url: str, value: Any = None, **more: Any) -> Call:
    return writes(name, "PATCH", url, value, **more)


def writes(name: str, method: str, url: str, value: Any, **more: Any) -> Call:
    headers = {**JSON_TYPE, **more.pop("headers", {})}
    body = rest.encode({} if value is None else value)
    return Call(name, url, method, headers, body, **{"group": "g", **more})


def delete(name: str, url: str, **more: Any) -> Call:
    return Call(name, url, "DELETE", **{"group": "g", **more})


def failing(bad: int, size: int = 3, group: str = "g", prefix: str = "m") -> list[Call]:
    """A group of POSTs of which the one at `bad` is a PATCH that the upstream refuses with 412."""
    calls = [post(f"{prefix}{n}", group=group) for n in range(size)]
    calls[bad] = patch(f"{prefix}{bad}", "Customers(8)", group=group)
    return calls


def is_json_batch(things: BatchingUpstream, number: int = 0) -> bool:
    return things.batches[number].header("content-type") == "application/json"


def told_members(things: BatchingUpstream, number: int = 0) -> list[dict[str, Any]]:
    """The request objects of a JSON batch as the upstream got them."""
    requests: list[dict[str, Any]] = json.loads(things.batches[number].body)["requests"]
    return requests
