"""The vectors of tests/contract/vectors/odata_batch.json against a real gateway over REST.

The matching rules are those of the vectors' own text: responses by id, parts in their order, upstream calls as an
exact multiset. A vector may never be made to pass by a change of its expectation.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import documents, rest
from harness.batches import decode_base64url
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.multiparts import Part
from harness.scripted import ScriptedUpstream, reply_of_row

Vector = dict[str, Any]
ALL: list[Vector] = json.loads((Path(__file__).parent / "vectors" / "odata_batch.json").read_text())
GROUPS = [vector for vector in ALL if vector.get("config", {}).get("atomic_groups") == "supported"]
PLAIN = [vector for vector in ALL if vector not in GROUPS]


def test_every_vector_runs() -> None:
    assert len(ALL) == 20
    assert [vector["name"] for vector in GROUPS] == [
        "json-06-atomic-group-echo",
        "mp-14-get-changeset-get",
        "mp-17-failed-changeset-single-response",
    ]


def send(gateway: Gateway, request: Vector) -> rest.Answer:
    body: bytes | None = None
    if "body" in request:
        body = rest.encode(request["body"])
    elif "body_text" in request:
        body = request["body_text"].encode()
    elif "body_base64" in request:
        body = base64.b64decode(request["body_base64"])
    url = urlsplit(request["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    return rest.request(gateway.http_port, request["method"], target, request["headers"], body, host=url.netloc)


def check_headers(found: dict[str, str], expected: dict[str, str]) -> None:
    for name, value in expected.items():
        assert name in found, f"{name} is missing in {found}"
        if name == "content-type":
            assert found[name].partition(";")[0] == value.partition(";")[0]
        else:
            assert found[name] == value


def check_response(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert isinstance(found["status"], int)
    assert found["status"] == expected["status"], found
    check_headers(found.get("headers", {}), expected.get("headers", {}))
    if "body" in expected:
        assert found["body"] == expected["body"]
    if "body_base64url" in expected:
        assert decode_base64url(found["body"]) == decode_base64url(expected["body_base64url"])
    if expected.get("body_absent"):
        assert found.get("body") is None
    if expected.get("error"):
        assert rest.is_odata_error(found["body"])
    if "atomicityGroup" in expected:
        assert found["atomicityGroup"] == expected["atomicityGroup"]
    if expected.get("no_atomicityGroup"):
        assert "atomicityGroup" not in found


def check_responses(answer: rest.Answer, expected: dict[str, Any]) -> None:
    found = answer.by_id()
    wanted = {response["id"]: response for response in expected["responses"]}
    needed = {name for name, response in wanted.items() if not response.get("optional")}
    assert needed <= found.keys() <= wanted.keys()
    if expected.get("order") == "exact":
        assert list(found) == [name for name in wanted if name in found]
    for name, response in found.items():
        check_response(response, wanted[name])


def check_part(found: Part, expected: dict[str, Any]) -> None:
    if "changeset" in expected:
        assert found.members is not None
        assert expected["changeset_order"] == "any"
        wanted = {member["content_id"]: member for member in expected["changeset"]}
        assert Counter(member.content_id for member in found.members) == Counter(wanted.keys())
        for member in found.members:
            check_part(member, wanted[str(member.content_id)])
        return
    assert found.members is None
    assert found.status == expected["status"], found
    check_headers({name.lower(): value for name, value in found.headers}, expected.get("headers", {}))
    if "body" in expected:
        assert found.json() == expected["body"]
    if expected.get("body_absent"):
        assert found.body == b""
    if expected.get("error"):
        assert rest.is_odata_error(found.json())
    if "content_id" in expected:
        assert found.content_id == expected["content_id"]
    if expected.get("content_id_absent"):
        assert found.content_id is None
    if "part_content_type" in expected:
        assert dict(found.fields)["Content-Type"] == expected["part_content_type"]


def check_parts(answer: rest.Answer, expected: list[dict[str, Any]]) -> None:
    found = documents.read(answer)
    assert len(found) == len(expected), found
    for part, wanted in zip(found, expected, strict=True):
        check_part(part, wanted)


def check_calls(upstream: ScriptedUpstream, expected: dict[str, Any]) -> None:
    lines = upstream.lines
    if "upstream_calls" in expected:
        assert Counter(lines) == Counter(expected["upstream_calls"])
    for line in expected.get("upstream_not_called", []):
        assert line not in lines
    for first, second in expected.get("call_order", []):
        finished = upstream.call(first).finished
        assert finished is not None
        assert finished <= upstream.call(second).started
    assert upstream.problems == []


def run(vector: Vector, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for row in vector["upstream_behaviour"]:
        upstream.on(row["method"], row["path"], reply_of_row(row))
    answer = send(gateway, vector["request"])
    expected = vector["expected"]
    assert answer.status == expected["status"], answer.body
    check_headers(dict(answer.headers), expected.get("headers", {}))
    if expected.get("error"):
        assert rest.is_odata_error(answer.json())
    if "responses" in expected:
        check_responses(answer, expected)
    if "parts" in expected:
        check_parts(answer, expected["parts"])
    check_calls(upstream, expected)


@pytest.mark.parametrize("vector", PLAIN, ids=lambda vector: vector["name"])
def test_vector(vector: Vector, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run(vector, gateway, upstream)


@pytest.mark.parametrize("vector", GROUPS, ids=lambda vector: vector["name"])
def test_vector_of_groups(vector: Vector, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """The upstream takes batches itself; its calls are those that it unpacks."""
    run(vector, batching_gateway, things)
    if vector["name"] == "mp-17-failed-changeset-single-response":
        assert vector["expected"]["final_state"] == "Customers(8) does not exist"
        assert things.applied == []
