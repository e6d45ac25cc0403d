"""Request identifiers and references: rules ID-01 to ID-13 of the contract."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    Call,
    Refused,
    by_id,
    run_batch,
    statuses,
)
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

JSON = {"content-type": "application/json"}


def location(url: str, **more: object) -> Reply:
    return json_reply({"ID": 7}, 201, [("Location", url)], **more)


def refused_whole(front: str, gateway: Gateway, upstream: ScriptedUpstream, calls: list[Call]) -> None:
    with pytest.raises(Refused) as caught:
        run_batch(front, gateway, calls)
    assert caught.value.bad_envelope, caught.value
    assert caught.value.details
    assert upstream.lines == []


def test_ID_01_ids_are_case_sensitive(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    upstream.on("GET", "/A")
    results = by_id(run_batch(front, gateway, [Call("a", "a"), Call("A", "A")]))
    assert results["a"].json() == {"path": "/a"}
    assert results["A"].json() == {"path": "/A"}


def test_ID_02_duplicate_id_refuses_the_batch(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refused_whole(front, gateway, upstream, [Call("1", "a"), Call("2", "b"), Call("1", "c")])


def test_ID_02_id_equal_to_a_group_name(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refused_whole(front, gateway, upstream, [Call("1", "a", group="g"), Call("g", "b")])


@pytest.mark.parametrize("name", ["0.0", "a-b_c~d.e", "7d0a0f9b-ab6e-4df3-bd5c-5132bd84f079", "x" * 200])
def test_ID_03_legal_ids(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    assert statuses(run_batch(front, gateway, [Call(name, "a")])) == {name: 200}


@pytest.mark.parametrize("name", ["a b", "", "a/b", "ä", "a$", "a\n", "(1)"])
def test_ID_03_ill_formed_ids(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refused_whole(front, gateway, upstream, [Call("ok", "a"), Call(name, "b")])


def test_ID_04_every_request_needs_an_id(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "a"), {"method": "get", "url": "b"}]
    answer = rest.post(gateway.http_port, {"requests": calls})
    assert answer.status == 400
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_ID_04_an_absent_id_is_empty_in_grpc(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refused_whole(front, gateway, upstream, [Call("", "a")])


def test_ID_05_reference_to_what_was_created(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/Customers", location("http://gw.example/svc/Customers(7)"))
    upstream.on("POST", "/Customers(7)/Orders", location("http://gw.example/svc/Orders(70)"))
    calls = [
        Call("1", "Customers", "POST", JSON, b"{}"),
        Call("2", "$1/Orders", "POST", JSON, b"{}", depends_on=["1"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 201, "2": 201}
    assert upstream.lines == ["POST /Customers", "POST /Customers(7)/Orders"]


def test_ID_05_reference_to_what_was_returned(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/Customers(7)?$select=Name")
    upstream.on("DELETE", "/Customers(7)/Orders(1)", Reply(204))
    calls = [
        Call("c", "Customers(7)?$select=Name"),
        Call("d", "$c/Orders(1)", "DELETE", depends_on=["c"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"c": 200, "d": 204}


def test_ID_06_the_whole_first_segment_is_replaced(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", location("http://gw.example/svc/A(1)"))
    upstream.on("POST", "/B", location("http://gw.example/svc/B(10)"))
    upstream.on("GET", "/B(10)/Items")
    upstream.on("GET", "/A(1)?$expand=X")
    upstream.on("GET", "/A(1)")
    calls = [
        Call("1", "A", "POST", JSON, b"{}"),
        Call("10", "B", "POST", JSON, b"{}"),
        Call("x", "$10/Items", depends_on=["10"]),
        Call("y", "$1?$expand=X", depends_on=["1"]),
        Call("z", "$1", depends_on=["1"]),
    ]
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {200, 201}
    assert {"GET /B(10)/Items", "GET /A(1)?$expand=X", "GET /A(1)"} <= set(upstream.lines)


@pytest.mark.parametrize("name", ["metadata", "all", "root", "id", "crossjoin", "entity"])
def test_ID_07_system_resources_win(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", location("http://gw.example/svc/A(1)"))
    upstream.on("GET", f"/${name}")
    calls = [Call(name, "A", "POST", JSON, b"{}"), Call("2", f"${name}", depends_on=[name])]
    assert statuses(run_batch(front, gateway, calls)) == {name: 201, "2": 200}
    assert upstream.lines == ["POST /A", f"GET /${name}"]


def test_ID_08_relative_location_resolves_against_the_effective_url(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/Customers", location("Customers(7)"))
    upstream.on("POST", "/Customers(7)/Orders", location("Orders(5)"))
    upstream.on("GET", "/Customers(7)/Orders(5)/Items")
    calls = [
        Call("1", "Customers", "POST", JSON, b"{}"),
        Call("2", "$1/Orders", "POST", JSON, b"{}", depends_on=["1"]),
        Call("3", "$2/Items", depends_on=["2"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 201, "2": 201, "3": 200}


@pytest.mark.parametrize("name", ["if-match", "If-None-Match"])
def test_ID_09_etag_reference(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/E(0)", json_reply({"ID": 0}, headers=[("ETag", 'W/"v7"')]))
    upstream.on("PATCH", "/E(0)", Reply(204, expect_headers={name.lower(): 'W/"v7"'}))
    calls = [Call("1", "E(0)"), Call("2", "E(0)", "PATCH", {**JSON, name: "$1"}, b"{}", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 204}
    assert upstream.problems == []


def test_ID_10_a_quoted_reference_is_a_literal_etag(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/E(0)", json_reply({"ID": 0}, headers=[("ETag", 'W/"v7"')]))
    upstream.on("PATCH", "/E(0)", Reply(412, expect_headers={"if-match": '"$1"'}))
    calls = [
        Call("1", "E(0)"),
        Call("2", "E(0)", "PATCH", {**JSON, "if-match": '"$1"'}, b"{}", depends_on=["1"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 412}
    assert upstream.problems == []


def test_ID_11_a_dollar_that_names_no_request_is_forwarded(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b'{"Price":"$5","Customer@odata.bind":"Customers(1)"}'
    upstream.on("POST", "/Orders", Reply(204, expect_body=body))
    assert statuses(run_batch(front, gateway, [Call("1", "Orders", "POST", JSON, body)])) == {"1": 204}


@pytest.mark.parametrize("name", ["it", "root"])
def test_ID_13_predefined_literals_win(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    line = f"Employees?$filter=${name}/Age%20gt%201"
    upstream.on("GET", "/Employees(0)")
    upstream.on("GET", f"/{line}")
    calls = [Call(name, "Employees(0)"), Call("2", line, depends_on=[name])]
    assert statuses(run_batch(front, gateway, calls)) == {name: 200, "2": 200}
