"""FR-10: an error of Connect's JSON names the member that is wrong, in its message and its details."""

from __future__ import annotations

import asyncio
import json

import pytest
from batchwire.core import EnvelopeError
from batchwire.service.fronts.rpc import connect_json
from batchwire.v1 import batch_pb2
from harness import rest
from harness.gateway import Gateway

PLACES = [
    (b'{"nothing":1}', "nothing", "nothing: there is no such member"),
    (b'{"options":{"rout":"/"}}', "options.rout", "options.rout: there is no such member"),
    (b'{"options":{"route":5}}', "options.route", "options.route: is not what the member takes"),
    (b'{"calls":[{"id":"1"},{"id":5}]}', "calls[1].id", "calls[1].id: is not what the member takes"),
    (b'{"calls":[{"timeout":"x"}]}', "calls[0].timeout", "calls[0].timeout: is not what the member takes"),
    (b'{"calls":[{"dependsOn":["a",1]}]}', "calls[0].dependsOn", "calls[0].dependsOn: is not what the member takes"),
    (b'{"calls":[{},5]}', "calls[1]", "calls[1]: must be an object"),
    (b'{"calls":5}', "calls", "calls: is not what the member takes"),
    (b"[]", "", "the body: must be an object"),
    (b'{"calls":[', "", "the body is no JSON, at character 10"),
    (b'{"a":1,"a":2}', "", "the body is no JSON of a message: the member 'a' is given twice"),
    (b"\xff", "", "the body is no JSON of a message: it cannot be read"),
    (b'{"%s":1}' % (b"x" * 300), "x" * 99 + "…", "x" * 99 + "…: there is no such member"),
]


@pytest.mark.parametrize(("body", "target", "message"), PLACES)
def test_FR_10_the_place_of_an_error(body: bytes, target: str, message: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        asyncio.run(connect_json.parse(body, batch_pb2.ExecuteRequest))
    error = caught.value
    assert (error.status, error.code, error.target, error.message) == (400, "BadMessage", target, message)


def test_FR_10_details_can_be_read_by_people(gateway: Gateway) -> None:
    fields = {"content-type": "application/json"}
    answer = rest.request(
        gateway.http_port, "POST", "/batchwire.v1.BatchService/Execute", fields, b'{"calls":[{"id":5}]}'
    )
    info, bad = json.loads(answer.body)["details"]
    assert info["debug"] == {"reason": "BadMessage", "domain": "batchwire"}
    [violation] = bad["debug"]["fieldViolations"]
    assert violation["field"] == "calls[0].id"
