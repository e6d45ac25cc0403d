"""The same calls in either format, answered in either, have the same results: rule CF-01, over all four pairs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness.batches import Call, Result, by_id, kind_of
from harness.batching import BatchingUpstream
from harness.documents import FORMATS, REST, run
from harness.gateway import Gateway
from harness.scripted import Received, Reply, ScriptedUpstream, json_reply, odata_error

PAIRS = pytest.mark.parametrize(("request_format", "answer_format"), [(r, a) for r in FORMATS for a in FORMATS])
DIALECTS = Path(__file__).parents[2] / "docs" / "dialects.md"
EVERY_BYTE = bytes(range(256)) * 3
NUMBERS = b'{"big":12345678901234567890.10,"e":"\\u00e4\\ud83d\\ude00","n":null,"list":[1.0,-0,1e400]}'
OBJECT = '{"a":"ä😀","n":[1,2.5,null,{}],"e":"\\"\\\\\\n"}'.encode()
QUERY = "odata?$filter=Name%20eq%20'%C3%A4'&x=1%2C2"

# What the upstream answers to GET: status, content-type, body.
ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "object": (200, "application/json", OBJECT),
    "numbers": (200, "application/json", NUMBERS),
    QUERY: (200, "application/json;odata.metadata=none", b"[1]"),
    "problem": (422, "application/problem+json", b'{"title":"no"}'),
    "string": (200, "application/json", b'"just a string"'),
    "text": (200, "text/plain; charset=utf-8", "grüß\u2028 12".encode()),
    "csv": (200, "text/csv", b"a,b\r\n\r\n--batchresponse\r\n"),
    "bytes": (200, "image/png", EVERY_BYTE),
    "form": (200, "multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n"),
    "bad": (500, "application/json", b'{"error":{"code":"C","message":"said \\"no\\""}}'),
}
# What is sent: content-type, body. The upstream sends it back as bytes.
SENT: dict[str, tuple[str, bytes]] = {
    "object": ("application/json", OBJECT),
    "string": ("application/json;charset=utf-8", b'"a string"'),
    "text": ("text/plain; charset=utf-8", "zwölf\r\n\r\n--bb\r\n".encode()),
    "bytes": ("application/octet-stream", EVERY_BYTE),
    "xml": ("application/xml", b"\r\n<a/>\r\n"),
}


def calls() -> list[Call]:
    made = [Call(f"get-{number}", url) for number, url in enumerate(ANSWERS)]
    for method in ("POST", "PUT", "PATCH"):
        made += [Call(f"{method}-{n}", f"echo/{n}", method, {"Content-Type": k}, b) for n, (k, b) in SENT.items()]
    return [
        *made,
        Call("post-nothing", "echo/nothing", "POST"),
        Call("gone", "gone", "DELETE"),
        Call("same", "same", headers={"If-None-Match": 'W/"1", "2"', "X-Own": "a, b"}),
        Call("empty", "empty"),
        Call("missing", "missing"),
        Call("out", "../out"),
        Call("head", "object", "TRACE"),
        Call("unknown", "$nobody/Orders"),
    ]


def everything(call: Received) -> Reply:
    if call.path.startswith("/echo/"):
        kind = call.header("content-type") or "none"
        return Reply(201, [("Content-Type", "application/octet-stream"), ("X-Kind", kind)], call.body or b"nothing")
    found = ANSWERS.get(call.path[1:])
    if found is None:
        return odata_error(404, "NotFound", call.path)
    status, kind, body = found
    fields = [("ETag", 'W/"7"'), ("OData-Version", "4.0"), ("X-Many", "a"), ("X-Many", "b"), ("X-Odd", 'q"\\\xe9')]
    return Reply(status, [("Content-Type", kind), *fields], body, chunked=call.path == "/numbers")


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("DELETE", "/gone", Reply(204))
    upstream.on("GET", "/same", Reply(304, [("ETag", '"2"')]))
    upstream.on("GET", "/empty", Reply(200))
    upstream.fallback = everything


def value_of(result: Result) -> Any:
    """The body as what it means: a JSON value, or bytes."""
    if result.body is None:
        return None
    return json.loads(result.body) if kind_of(result.headers.get("content-type")) == "json" else result.body


def meaning_of(result: Result) -> tuple[Any, ...]:
    """All that a result says, but for the wording of a reader's own errors: a method is named as its format spells it.

    JSON answers leave out the content-type application/json (JR-09).
    """
    headers = dict(result.headers)
    if headers.get("content-type") == "application/json":
        del headers["content-type"]
    value = value_of(result)
    if result.status == 400:
        value = value["error"]["code"]
    return result.id, result.status, headers, value


@PAIRS
def test_CF_01_every_kind_of_result(request_format: str, answer_format: str, way: str, gateway: Gateway) -> None:
    found = by_id(run(way, gateway, request_format, answer_format, calls()))
    assert found.keys() == {call.id for call in calls()}
    for number, (url, (status, kind, body)) in enumerate(ANSWERS.items()):
        result = found[f"get-{number}"]
        assert result.status == status, url
        assert result.headers.get("content-type", "application/json") == kind
        assert value_of(result) == (json.loads(body) if kind_of(kind) == "json" else body)
        assert result.headers["etag"] == 'W/"7"'
        assert result.headers["x-many"] == "a, b"
        assert result.headers["x-odd"] == 'q"\\\xe9'
    for name, (kind, body) in SENT.items():
        for method in ("POST", "PUT", "PATCH"):
            result = found[f"{method}-{name}"]
            assert (result.status, result.body) == (201, body)
            assert result.headers["x-kind"] == kind
    assert found["post-nothing"].body == b"nothing"
    rest = {name: found[name].status for name in ("gone", "same", "empty", "missing", "out", "head", "unknown")}
    assert rest == {"gone": 204, "same": 304, "empty": 200, "missing": 404, "out": 400, "head": 400, "unknown": 400}
    assert [found[name].body for name in ("gone", "same", "empty")] == [None] * 3
    assert all(found[name].is_error for name in ("missing", "out", "head", "unknown"))


def test_CF_01_no_pair_differs(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Nothing of an answer is lost or added by a format, and the upstream cannot tell which it was."""
    answers, requests = [], []
    for request_format in FORMATS:
        for answer_format in FORMATS:
            upstream.log.clear()
            results = run(way, gateway, request_format, answer_format, calls())
            answers.append(sorted((meaning_of(result) for result in results), key=lambda said: str(said[0])))
            seen = [(call.line, sorted(call.headers), call.body) for call in upstream.log]
            requests.append(sorted(seen, key=str))
    for other in answers[1:]:
        for first, second in zip(answers[0], other, strict=True):
            assert first == second
    for other in requests[1:]:
        for one, two in zip(requests[0], other, strict=True):
            assert one == two


@PAIRS
def test_CF_01_references_and_dependencies(
    request_format: str, answer_format: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    made = json_reply({"ID": 7, "Name": "N"}, 201, [("Location", "http://gw.example/svc/C(7)"), ("ETag", '"v1"')])
    upstream.on("POST", "/C", made)
    upstream.on("GET", "/C(7)/Orders?$top=1", json_reply({"value": []}))
    upstream.on("PATCH", "/C(7)", Reply(204, expect_headers={"if-match": '"v1"'}))
    upstream.on("GET", "/D?$filter=Name%20eq%20'N'", json_reply({"value": [1]}))
    kind = {"Content-Type": "application/json"}
    items = [
        Call("1", "C", "POST", kind, b'{"Name":"N"}'),
        Call("2", "$1/Orders?$top=1", depends_on=["1"]),
        Call("3", "$1", "PATCH", {**kind, "If-Match": "$1"}, b"{}", depends_on=["1"]),
        Call("4", "D?$filter=Name%20eq%20$1/Name", depends_on=["1"]),
    ]
    found = by_id(run(way, gateway, request_format, answer_format, items))
    assert {name: result.status for name, result in found.items()} == {"1": 201, "2": 200, "3": 204, "4": 200}, (
        upstream.lines
    )
    assert found["1"].headers["location"] == "http://gw.example/svc/C(7)"
    assert found["4"].json() == {"value": [1]}
    assert upstream.problems == []


@PAIRS
def test_CF_01_groups_and_change_sets(
    request_format: str, answer_format: str, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    things.on("POST", "/A", json_reply({"ID": 1}, 201, expect_body=EVERY_BYTE))
    things.on("PATCH", "/B", Reply(204, [("ETag", '"1"')], expect_body=OBJECT))
    things.on("GET", "/C")
    items = [
        [
            Call("1", "A", "POST", kind, EVERY_BYTE),
            Call("2", "B", "PATCH", {"Content-Type": "application/json"}, OBJECT),
        ],
        Call("3", "C"),
    ]
    found = by_id(run(way, batching_gateway, request_format, answer_format, items))
    assert {name: result.status for name, result in found.items()} == {"1": 201, "2": 204, "3": 200}
    assert found["1"].json() == {"ID": 1}
    assert found["2"].headers["etag"] == '"1"'
    assert things.applied == ["POST /A", "PATCH /B"]
    assert things.problems == []


def test_CF_02_the_documented_batch_support_is_what_a_batch_can_use(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", DIALECTS.read_text("utf-8"), flags=re.MULTILINE))
    properties = [
        "ContinueOnErrorSupported",
        "ReferencesInRequestBodiesSupported",
        "ReferencesAcrossChangeSetsSupported",
    ]
    properties += ["Supported", "EtagReferencesSupported", "RequestDependencyConditionsSupported"]
    assert {name: told[name] for name in properties} == dict.fromkeys(properties, "true")
    assert told["SupportedFormats"] == "`application/json`, `multipart/mixed`"
    made = json_reply({"ID": 7}, 201, [("Location", "http://gw.example/svc/C(7)"), ("ETag", '"v1"')])
    upstream.on("POST", "/C", made)
    upstream.on("POST", "/D", Reply(204, expect_body=b'{"n":7,"C@odata.bind":"C(7)"}'))
    upstream.on("PATCH", "/C(7)", Reply(204, expect_headers={"if-match": '"v1"'}))
    json_type = {"content-type": "application/json"}
    bad = Call("bad", "nothing-here")
    create = Call("a", "C", "POST", json_type, b"{}", group="g1")
    bind = Call("b", "D", "POST", json_type, b'{"n":"$a/ID","C@odata.bind":"$a"}', ["g1"], "g2")
    change = Call(
        "c", "$a", "PATCH", {**json_type, "If-Match": "$a"}, b"{}", ["g1", "bad"], condition="$bad/$status eq 404"
    )
    found = by_id(run(REST, gateway, "json", "json", [bad, create, bind, change]))
    assert {name: result.status for name, result in found.items()} == {"bad": 404, "a": 201, "b": 204, "c": 204}
    assert upstream.problems == []
