"""The vectors of tests/contract/vectors/odata_batch.json against a real gateway over REST.

The matching rules are those of the vectors' own text: responses by id, upstream calls as an exact
multiset. A vector may never be made to pass by a change of its expectation.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import rest
from harness.batches import decode_base64url
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, reply_of_row

Vector = dict[str, Any]
ALL: list[Vector] = json.loads((Path(__file__).parent / "vectors" / "odata_batch.json").read_text())
RUN = [
    "json-01-minimal-get-no-headers",
    "json-02-method-case-and-url-forms",
    "json-03-text-body-both-ways",
    "json-04-binary-body-base64url",
    "json-05-dependson-failure-424-chain",
    "json-07-url-reference-to-created-entity",
    "json-08-etag-reference",
    "json-09-continue-on-error-false",
    "json-10-empty-requests-array",
    "json-11-missing-requests-member",
    "gen-12-get-on-batch-405",
    "gen-13-unsupported-content-type",
    "gen-50-unacceptable-accept-406",
]


def reason_left_out(vector: Vector) -> str:
    """Why this gateway does not take a vector yet; "" when it runs it."""
    kind = vector["request"]["headers"].get("content-type", "")
    if kind.startswith("multipart/"):
        return "the multipart format is not read or written yet"
    if vector.get("config", {}).get("atomic_groups") == "supported":
        return "atomic groups of several calls are answered with 501 (GW-04 c)"
    return ""


TAKEN = [vector for vector in ALL if not reason_left_out(vector)]


def test_exactly_the_named_vectors_run() -> None:
    assert [vector["name"] for vector in TAKEN] == RUN
    assert len(ALL) == 20


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


@pytest.mark.parametrize("vector", TAKEN, ids=lambda vector: vector["name"])
def test_vector(vector: Vector, gateway: Gateway, upstream: ScriptedUpstream) -> None:
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
    check_calls(upstream, expected)
