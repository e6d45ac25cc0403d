"""The format of the answer, whatever that of the request: rules GB-09, GW-09, PR-03 and JR-04 of the contract."""

from __future__ import annotations

import re
from typing import Any

import pytest
from harness import documents, rest
from harness.batches import Call
from harness.batching import BatchingUpstream
from harness.documents import read, send
from harness.gateway import Gateway
from harness.multiparts import document_of, part
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

JSON = {"Content-Type": "application/json"}
BODIES = {
    documents.JSON: rest.encode({"requests": [rest.get_call("1", "ok")]}),
    documents.MULTIPART: document_of([Call("1", "ok")]),
}
COMPATIBLE = [{}, {"OData-Version": "4.0"}, {"OData-MaxVersion": "4.0"}]


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok", json_reply({"a": 1}))


def format_of(answer: rest.Answer) -> str:
    """json or multipart, by type and by content."""
    media = (answer.header("content-type") or "").partition(";")[0]
    if media == "multipart/mixed":
        [one] = read(answer)
        assert (one.status, one.json()) == (200, {"a": 1})
        return "multipart"
    assert media == "application/json"
    [response] = answer.json()["responses"]
    assert (response["id"], response["status"], response["body"]) == ("1", 200, {"a": 1})
    return "json"


@pytest.mark.parametrize("kind", list(BODIES))
@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/json", "json"),
        ("multipart/mixed", "multipart"),
        ("application/json;q=0.3, multipart/mixed;q=0.4", "multipart"),
        ("multipart/mixed;q=0.3, application/json;q=0.4", "json"),
        ("multipart/*, application/json;q=0.9", "multipart"),
        ("multipart/mixed;q=0, */*", "json"),
        ("application/json;q=0, */*;q=0.1", "multipart"),
        ("text/csv, application/json;odata.metadata=none", "json"),
    ],
)
def test_GB_09_the_answer_has_the_format_that_is_asked_for(
    kind: str, accept: str, wanted: str, way: str, gateway: Gateway
) -> None:
    assert format_of(send(way, gateway, BODIES[kind], kind, {"Accept": accept})) == wanted


@pytest.mark.parametrize("accept", [None, "*/*", "multipart/mixed, application/json"])
def test_GB_09_without_a_preference_that_of_the_request(accept: str | None, way: str, gateway: Gateway) -> None:
    fields = {"Accept": accept} if accept else {}
    assert format_of(send(way, gateway, BODIES[documents.JSON], documents.JSON, fields)) == "json"
    assert format_of(send(way, gateway, BODIES[documents.MULTIPART], documents.MULTIPART, fields)) == "multipart"


@pytest.mark.parametrize("kind", list(BODIES))
@pytest.mark.parametrize("version", COMPATIBLE)
def test_GB_09_json_requests_choose_in_either_profile(
    kind: str, version: dict[str, str], way: str, gateway: Gateway
) -> None:
    answer = send(way, gateway, BODIES[kind], kind, {"Accept": "multipart/mixed"}, version=version)
    assert format_of(answer) == "multipart"


def test_GW_09_accept_json_of_a_multipart_request(way: str, gateway: Gateway) -> None:
    fields = {"Accept": "application/json"}
    body = BODIES[documents.MULTIPART]
    assert format_of(send(way, gateway, body, headers=fields, version=rest.STRICT)) == "json"
    assert format_of(send(way, gateway, body, headers=fields, version={})) == "multipart"


@pytest.mark.parametrize("accept", ["application/json", "application/json;odata.metadata=minimal", "application/*"])
@pytest.mark.parametrize("version", COMPATIBLE)
def test_PR_03_compatible_answers_multipart_to_multipart(
    accept: str, version: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = BODIES[documents.MULTIPART]
    assert format_of(send(way, gateway, body, headers={"Accept": accept}, version=version)) == "multipart"
    if accept.partition(";")[0] == "application/json":
        assert format_of(send(way, gateway, body, headers={"Accept": accept})) == "json"


def test_PR_03_the_route_may_force_either(way: str, gateway: Gateway) -> None:
    fields = {"Accept": "application/json"}
    body = BODIES[documents.MULTIPART]
    assert format_of(send(way, gateway, body, headers=fields, version={}, route="/strict/")) == "json"
    assert format_of(send(way, gateway, body, headers=fields, route="/compatible/")) == "multipart"


@pytest.mark.parametrize("kind", list(BODIES))
@pytest.mark.parametrize("version", [rest.STRICT, {}])
@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("json", "json"),
        ("application/json", "json"),
        ("application%2Fjson", "json"),
        ("multipart/mixed", "multipart"),
        ("multipart%2fmixed", "multipart"),
    ],
)
def test_PR_03_format_decides_in_both_profiles(
    kind: str, version: dict[str, str], option: str, wanted: str, gateway: Gateway
) -> None:
    other = "application/json" if wanted == "multipart" else "multipart/mixed"
    fields = {"Content-Type": kind, "Accept": other}
    answer = rest.post(gateway.http_port, BODIES[kind], fields, query=f"?$format={option}", version=version)
    assert format_of(answer) == wanted


def as_json(way: str, gateway: Gateway, items: list[Any], **more: Any) -> list[dict[str, Any]]:
    """The response objects of a multipart batch that is answered in JSON."""
    fields = {"Accept": "application/json", "Prefer": "continue-on-error", **more}
    answer = send(way, gateway, document_of(items), headers=fields)
    assert (answer.header("content-type") or "").startswith("application/json")
    return list(answer.json()["responses"])


def test_JR_04_order_and_ids_are_those_of_the_parts(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=0.2))
    upstream.on("POST", "/ok", Reply(204))
    items = [
        Call("z.1", "slow"),
        Call("", "ok"),
        [Call("a", "ok", "POST", JSON, b"{}")],
        Call("", "missing"),
        Call("b", "ok"),
    ]
    found = as_json(way, gateway, items)
    assert [response["status"] for response in found] == [200, 200, 204, 404, 200]
    ids = [response["id"] for response in found]
    assert [ids[0], ids[2], ids[4]] == ["z.1", "a", "b"]
    assert all(isinstance(name, str) for name in ids)
    assert "" not in ids
    assert len(set(ids)) == 5, "responses are told apart by their ids"


def test_JR_04_made_up_ids_never_meet_given_ones(way: str, gateway: Gateway) -> None:
    """Not even when a client has seen how they are made."""
    items = [Call("", "ok"), Call("", "ok"), Call("", "ok"), Call("0", "ok")]
    first = [response["id"] for response in as_json(way, gateway, items)]
    assert len(set(first)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", name) for name in first), "ID-03"
    items[3].id = first[0]
    assert len({response["id"] for response in as_json(way, gateway, items)}) == 4


def test_JR_04_change_sets_are_groups(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("GET", "/ok")
    things.on("POST", "/A", Reply(204))
    things.on("POST", "/bad", odata_error(409))
    posts = {name: Call(name, "A", "POST", JSON, b"{}") for name in ("1", "2", "3", "4", "5")}
    bad = Call("bad", "bad", "POST", JSON, b"{}")
    items = [[posts["1"], posts["2"]], Call("x", "ok"), [posts["3"]], [posts["4"], bad, posts["5"]]]
    found = as_json(way, batching_gateway, items)
    groups = {response["id"]: response.get("atomicityGroup") for response in found}
    assert groups["x"] is None
    assert groups["1"] == groups["2"]
    assert len({groups["1"], groups["3"], groups["bad"]}) == 3
    assert not set(filter(None, groups.values())) & groups.keys(), "JB-12: no group has the name of a request"
    statuses = {response["id"]: response["status"] for response in found}
    assert {name: statuses[name] for name in ("1", "2", "x", "3", "bad")} == {
        "1": 204,
        "2": 204,
        "x": 200,
        "3": 204,
        "bad": 409,
    }
    assert all(statuses[name] >= 400 for name in ("4", "bad", "5")), "JR-12"
    assert [response["id"] for response in found][:4] == ["1", "2", "x", "3"]
    assert things.applied == ["POST /A"] * 3


def test_JR_04_what_is_refused_too(way: str, gateway: Gateway) -> None:
    refused = part(b"TRACE ok HTTP/1.1\r\n\r\n", b"Content-Type: application/http\r\nContent-ID: 7\r\n")
    body = document_of([Call("1", "ok")]).replace(b"--b--", b"--b\r\n" + refused + b"\r\n--b--")
    answer = send(way, gateway, body, headers={"Accept": "application/json"})
    first, second = answer.json()["responses"]
    assert (first["id"], first["status"]) == ("1", 200)
    assert (second["id"], second["status"]) == ("7", 400)
    assert rest.is_odata_error(second["body"])
