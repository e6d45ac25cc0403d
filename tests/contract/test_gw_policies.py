"""What the gateway decides where the format is open: rules GW-01 to GW-04, GW-08, GW-11 to GW-20, GW-22."""

from __future__ import annotations

from typing import Any

import pytest
from harness import rest
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    REST,
    Call,
    Refused,
    by_id,
    check_error,
    run_batch,
    statuses,
)
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

BROKEN = [
    [rest.get_call("1", "ok"), rest.get_call("1", "ok")],
    [rest.get_call("1", "ok"), rest.get_call("a b", "ok")],
    [rest.get_call("1", "ok"), {"method": "get", "url": "ok"}],
    [rest.get_call("1", "ok"), "text"],
    [rest.get_call("1", "ok", atomicityGroup="2"), rest.get_call("2", "ok")],
    [
        rest.get_call("1", "ok", atomicityGroup="g"),
        rest.get_call("2", "ok"),
        rest.get_call("3", "ok", atomicityGroup="g"),
    ],
]


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")


@pytest.mark.parametrize("calls", BROKEN)
def test_GW_01_a_broken_envelope_starts_nothing(calls: list[Any], gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, {"requests": calls})
    assert answer.status == 400
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_GW_01_truncated_documents_start_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = rest.encode({"requests": [rest.get_call("1", "ok"), rest.get_call("2", "ok")]})
    for end in range(1, len(text), 7):
        assert rest.post(gateway.http_port, text[:end]).status == 400, text[:end]
    assert upstream.lines == []


def test_GW_02_one_broken_request_fails_alone(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("1", "ok"),
        Call("2", "ok", "TRACE"),
        Call("3", "ok", depends_on=["9"]),
        Call("4", "ok", body=b"{}"),
        Call("5", "$batch", "POST", body=b"{}"),
        Call("6", "ok", depends_on=["2"]),
        Call("9", "ok"),
    ]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: result.status for name, result in results.items()} == {
        "1": 200,
        "2": 400,
        "3": 400,
        "4": 400,
        "5": 400,
        "6": 424,
        "9": 200,
    }
    for name in ("2", "3", "4", "5", "6"):
        assert results[name].is_error
    assert upstream.lines == ["GET /ok"] * 2


@pytest.mark.parametrize("condition", ["false", "null", "$1/Nothing", "$1/Nothing eq true", "$2/$succeeded"])
def test_GW_03_a_false_condition_is_424(
    condition: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok", json_reply({"Nothing": None}))
    upstream.on("GET", "/bad", odata_error(500))
    calls = [Call("1", "ok"), Call("2", "bad"), Call("3", "late", depends_on=["1", "2"], condition=condition)]
    check_error(by_id(run_batch(front, gateway, calls))["3"], 424)
    assert "GET /late" not in upstream.lines


def test_GW_04_a_group_of_one_runs(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(201))
    results = run_batch(front, gateway, [Call("1", "A", "POST", group="g", body=b"{}")])
    assert [(r.status, r.group) for r in results] == [(201, "g")]


@pytest.mark.parametrize("size", [2, 5])
def test_GW_04_all_members_of_a_larger_group_are_501(
    size: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call(str(n), f"A({n})", "PATCH", group="g", body=b"{}") for n in range(size)]
    results = run_batch(front, gateway, calls)
    assert len(results) == size
    for result in results:
        check_error(result, 501)
        assert result.group == "g"
    assert upstream.lines == []


@pytest.mark.parametrize("gated", [False, True])
def test_GW_04_streamed_groups_too(gated: bool, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A streamed document may not start the first member before it knows whether a second one follows."""
    member = {"method": "post", "url": "A", "atomicityGroup": "g", "body": {}}
    calls = [{"id": "1", **member}, {"id": "2", **member}] if gated else [{"id": "1", **member}]
    upstream.on("POST", "/A", Reply(204))
    found = rest.post(gateway.http_port, {"requests": calls}, root="/stream/").by_id()
    assert {r["status"] for r in found.values()} == ({501} if gated else {204})
    assert upstream.lines == ([] if gated else ["POST /A"])


FORBIDDEN_OUTER = {
    "Connection": "keep-alive, X-Hop",
    "X-Hop": "1",
    "Keep-Alive": "timeout=5",
    "Content-Language": "de",
    "Forwarded": "for=1.2.3.4",
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "evil.example",
    "X-Real-IP": "1.2.3.4",
    "Cookie": "s=1",
    "TE": "trailers",
}


def test_GW_08_outer_headers_that_are_not_forwarded(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(
        gateway.http_port,
        {"requests": [rest.get_call("1", "ok")]},
        {**FORBIDDEN_OUTER, "Accept": "multipart/mixed;q=0.1, application/json", "Authorization": "Bearer t"},
    )
    assert answer.by_id()["1"]["status"] == 200
    fields = dict(upstream.call("GET /ok").headers)
    assert "multipart" not in fields.get("accept", "")
    assert fields.get("accept") != "application/json"
    assert "x-hop" not in fields.get("connection", "")
    forbidden = {"x-hop", "keep-alive", "content-type", "content-length", "content-encoding", "cookie", "te"}
    assert not (forbidden | {"authorization", "transfer-encoding"}) & fields.keys(), fields
    assert not any("1.2.3.4" in value or "evil" in value for value in fields.values()), fields
    assert fields["host"] != "gw.example"


IDENTITY = {
    "Host": "evil.example",
    "Forwarded": "for=6.6.6.6",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "evil",
    "X-Real-IP": "6.6.6.6",
}


def test_GW_08_inner_identity_and_hop_headers_are_not_forwarded(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    hops = {
        "Connection": "X-Hop",
        "X-Hop": "evil",
        "Keep-Alive": "evil",
        "Upgrade": "evil",
        "Proxy-Connection": "evil",
    }
    calls = [Call("h", "ok", headers=hops)]
    calls += [Call(str(n), "ok", headers={name: value}) for n, (name, value) in enumerate(IDENTITY.items())]
    results = run_batch(front, gateway, calls)
    for result in results:
        assert result.status in (200, 400), result
    for call in upstream.log:
        assert not any("evil" in v or "6.6.6.6" in v for _, v in call.headers), call.headers


def test_GW_08_accept_encoding_is_not_forwarded(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A compressed body could not be spliced into the answer."""
    run_batch(front, gateway, [Call("1", "ok", headers={"Accept-Encoding": "gzip"})])
    assert "gzip" not in (upstream.call("GET /ok").header("accept-encoding") or "")


@pytest.mark.parametrize("kind", ["application/problem+json", "application/vnd.x+json; charset=utf-8"])
def test_GW_11_plus_json_is_json_both_ways(kind: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("PUT", "/A", Reply(200, [("Content-Type", kind)], b'"text"', expect_body=b'"string"'))
    member = {"id": "1", "method": "put", "url": "A", "headers": {"content-type": kind}, "body": "string"}
    response = rest.post(gateway.http_port, {"requests": [member]}).by_id()["1"]
    assert (response["status"], response["body"]) == (200, "text")
    assert response["headers"]["content-type"] == kind


def test_GW_12_a_header_given_twice_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "A", headers={"Accept": "a/b", "accept": "c/d"}), rest.get_call("2", "ok")]
    found = rest.post(gateway.http_port, {"requests": calls}).by_id()
    assert found["1"]["status"] == 400
    assert rest.is_odata_error(found["1"]["body"])
    assert found["2"]["status"] == 200
    assert upstream.lines == ["GET /ok"]


@pytest.mark.parametrize("url", ["$nobody/Orders", "$later/Orders", "$self/Orders"])
def test_GW_14_unknown_reference_is_400(url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("self", url, depends_on=[]), Call("later", "ok")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["self"], 400)
    assert results["later"].status == 200
    assert upstream.lines == ["GET /ok"]


def test_GW_14_post_without_location_gives_no_url(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", json_reply({"ID": 1}, 201))
    calls = [Call("1", "A", "POST", body=b"{}"), Call("2", "$1/Orders", depends_on=["1"])]
    check_error(by_id(run_batch(front, gateway, calls))["2"], 400)
    assert upstream.lines == ["POST /A"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_GW_14_request_url_without_query_stands_in(
    method: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on(method, "/A(1)?x=1", Reply(204))
    upstream.on("GET", "/A(1)/Orders?y=2")
    calls = [Call("1", "A(1)?x=1", method, body=b"{}"), Call("2", "$1/Orders?y=2", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 204, "2": 200}


@pytest.mark.parametrize("name", ["@etag", "@odata.etag"])
def test_GW_14_etag_of_the_body_stands_in(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)", json_reply({name: 'W/"b"', "ID": 1}))
    upstream.on("DELETE", "/A(1)", Reply(204, expect_headers={"if-match": 'W/"b"'}))
    calls = [Call("1", "A(1)"), Call("2", "A(1)", "DELETE", {"if-match": "$1"}, depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 204}


@pytest.mark.parametrize("value", ["$1", "$nobody"])
def test_GW_14_no_usable_etag_is_400(value: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok"), Call("2", "ok", "DELETE", {"if-match": value}, depends_on=["1"])]
    check_error(by_id(run_batch(front, gateway, calls))["2"], 400)
    assert upstream.lines == ["GET /ok"]


def test_GW_15_an_unreachable_upstream_is_502(front: str, gateway: Gateway) -> None:
    calls = [Call("1", "A"), Call("2", "A", "POST", body=b"{}"), Call("3", "A", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls, route="/dead/"))
    check_error(results["1"], 502)
    check_error(results["2"], 502)
    check_error(results["3"], 424)


@pytest.mark.parametrize(
    ("condition", "first", "status"),
    [
        ("$g/$succeeded", "ok", 200),
        ("$g/$succeeded", "bad", 424),
        ("$g/$succeeded eq false", "bad", 200),
        ("$g/Name eq 'x'", "ok", 424),
    ],
)
def test_GW_16_group_names_in_conditions(
    condition: str, first: str, status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/bad", odata_error(500))
    upstream.on("GET", "/late")
    calls = [Call("1", first, group="g"), Call("2", "late", depends_on=["g"], condition=condition)]
    assert statuses(run_batch(front, gateway, calls))["2"] == status


def test_GW_17_inner_authorization_is_400(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", headers={"Authorization": "Bearer x"}), Call("2", "ok")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /ok"]


def test_GW_17_or_dropped_by_a_switch(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "ok", headers={"Authorization": "Bearer x"})]
    assert statuses(run_batch(front, gateway, calls, route="/dropping/")) == {"1": 200}
    assert upstream.call("GET /ok").header("authorization") is None


def test_GW_17_outer_credentials_for_trusted_upstreams_only(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = {"Authorization": "Bearer outer"}
    document = {"requests": [rest.get_call("1", "ok")]}
    assert rest.post(gateway.http_port, document, fields).by_id()["1"]["status"] == 200
    assert rest.post(gateway.http_port, document, fields, root="/trusted/").by_id()["1"]["status"] == 200
    assert [call.header("authorization") for call in upstream.log] == [None, "Bearer outer"]


@pytest.mark.parametrize("group", ["", "g"])
@pytest.mark.parametrize("target", ["1", "g"])
def test_GW_18_dependency_on_itself_is_400(
    group: str, target: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call("1", "A", depends_on=[target], group=group), Call("2", "ok")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /ok"]


def test_GW_18_a_cycle_is_400(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", depends_on=["2"]), Call("2", "B", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 400, "2": 424}
    assert upstream.lines == []


def test_GW_20_a_group_waits_for_outside_dependencies(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/bad", odata_error(500))
    calls = [
        Call("1", "ok"),
        Call("2", "bad"),
        Call("3", "ok", group="g", depends_on=["1"]),
        Call("4", "late", group="h", depends_on=["1", "2"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 500, "3": 200, "4": 424}
    assert "GET /late" not in upstream.lines


def with_both(gateway: Gateway, first: list[str], second: list[str]) -> dict[str, Any]:
    calls = [rest.get_call("1", "bad"), rest.get_call("2", "ok", dependsOn=first, depends_on=second)]
    return rest.post(gateway.http_port, {"requests": calls}).by_id()["2"]


def test_GW_22_depends_on_is_an_alias(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/bad", odata_error(500))
    calls = [rest.get_call("1", "bad"), rest.get_call("2", "ok", depends_on=["1"])]
    assert rest.post(gateway.http_port, {"requests": calls}).by_id()["2"]["status"] == 424
    assert with_both(gateway, ["1"], ["1"])["status"] == 424
    different = with_both(gateway, ["1"], [])
    assert different["status"] == 400
    assert rest.is_odata_error(different["body"])
    assert "GET /ok" not in upstream.lines


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("atomicity_group", "atomicityGroup"),
        ("condition", "if"),
        ("DependsOn", "dependsOn"),
        ("dependson", "dependsOn"),
        ("Depends_On", "dependsOn"),
        ("DEPENDS_ON", "dependsOn"),
        ("If", "if"),
        ("IF", "if"),
        ("_if", "if"),
        ("Condition", "if"),
        ("atomicitygroup", "atomicityGroup"),
        ("AtomicityGroup", "atomicityGroup"),
    ],
)
def test_GW_22_other_spellings_are_refused(name: str, meant: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "ok/1", **{name: "x"}), rest.get_call("2", "ok", DependsOnMe="x", iff="x")]
    found = rest.post(gateway.http_port, {"requests": calls}).by_id()
    assert "GET /ok/1" not in upstream.lines
    assert name in found["1"]["body"]["error"]["message"]
    assert (found["1"]["status"], found["1"]["body"]["error"]["code"]) == (400, "UnknownMember")
    assert found["1"]["body"]["error"]["message"].endswith(f": {meant} is")
    assert found["2"]["status"] == 200


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_01_unknown_route_over_grpc(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with pytest.raises(Refused) as caught:
        run_batch(front, gateway, [Call("1", "ok")], route="/nowhere/")
    assert caught.value.details
    assert upstream.lines == []


def test_GW_01_rest_refusal_is_a_400(gateway: Gateway) -> None:
    with pytest.raises(Refused) as caught:
        run_batch(REST, gateway, [Call("", "ok")])
    assert caught.value.status == 400
