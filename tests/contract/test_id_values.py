"""References to values in bodies and queries: rules ID-11 to ID-13, GW-14 and HD-20 of the contract."""

from __future__ import annotations

import json

import pytest
from harness.batches import Call, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

JSON = {"content-type": "application/json"}
CREATED = json_reply({"ID": 7, "Name": "O'Hara & Söhne"}, 201, [("Location", "http://gw.example/svc/Customers(7)")])


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("body", "filled"),
    [
        (b'{"Customer@odata.bind":"$1"}', b'{"Customer@odata.bind":"Customers(7)"}'),
        (
            b'{"Customers@odata.bind":["Customers(1)","$1"]}',
            b'{"Customers@odata.bind":["Customers(1)","Customers(7)"]}',
        ),
        (b'{"@odata.id":"$1"}', b'{"@odata.id":"Customers(7)"}'),
        (b'{"@odata.id":"$1/Orders"}', b'{"@odata.id":"Customers(7)/Orders"}'),
        (b'{"Customer":{"@id":"$1"}}', b'{"Customer":{"@id":"Customers(7)"}}'),
    ],
)
def test_ID_11_reference_to_a_resource_in_a_body(
    body: bytes, filled: bytes, listed: bool, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/Customers", CREATED)
    upstream.on("POST", "/Orders", Reply(204, expect_body=filled))
    calls = [
        Call("1", "Customers", "POST", JSON, b"{}"),
        Call("2", "Orders", "POST", JSON, body, depends_on=["1"] if listed else []),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 201, "2": 204}
    assert upstream.problems == []


@pytest.mark.parametrize("body", [b'{"C@odata.bind":"$x"}', b'{"@id":"$2/a"}', b'{"@odata.id":"$later"}'])
def test_GW_14_a_reference_to_no_resource_is_never_forwarded(
    body: bytes, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a")
    results = by_id(
        run_batch(front, gateway, [Call("1", "a"), Call("2", "Orders", "POST", JSON, body), Call("later", "a")])
    )
    check_error(results["2"], 400)
    assert results["2"].json()["error"]["code"] == "UnresolvedReference"
    assert upstream.lines == ["GET /a", "GET /a"]


def test_ID_12_values_in_a_body_and_HD_20_the_length_is_recomputed(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = {"a": {"b": [0, {"c": "ä\n", "d": None}]}, "n": 1.5e3, "f": False, "k/": 1}
    upstream.on("GET", "/A", json_reply(answer))
    upstream.on("POST", "/B", Reply(204))
    body = {"bare": "$1", "all": "$1/a", "c": ["$1/a/b/1/c", "$1/a/b/0"], "d": "$1/a/b/1/d", "n": "$1/n", "f": "$1/f"}
    calls = [Call("1", "A"), Call("2", "B", "POST", JSON, json.dumps(body).encode(), depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 204}
    received = upstream.call("POST /B")
    assert json.loads(received.body) == {
        "bare": "$1",
        "all": answer["a"],
        "c": ["ä\n", 0],
        "d": None,
        "n": 1.5e3,
        "f": False,
    }
    assert received.header("content-length") == str(len(received.body))


def test_HD_20_the_length_is_that_of_the_filled_body(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"text": "x" * 5000}))
    upstream.on("POST", "/B", Reply(204, expect_body=b'{"copy":"' + b"x" * 5000 + b'"}'))
    calls = [Call("1", "A"), Call("2", "B", "POST", JSON, b'{"copy":"$1/text"}', depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 204}
    assert upstream.call("POST /B").header("content-length") == "5011"


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ("$filter=Building eq $1/Building", "$filter=Building%20eq%20'O''Hara%20%26%20S%C3%B6hne'"),
        ("$filter=Building%20eq%20%241%2FBuilding", "$filter=Building%20eq%20'O''Hara%20%26%20S%C3%B6hne'"),
        ("$filter=contains(Name,$1/Building)&$top=1", "$filter=contains(Name,'O''Hara%20%26%20S%C3%B6hne')&$top=1"),
        ("$filter=A gt $1/n and B eq $1/no", "$filter=A%20gt%201e%2B2%20and%20B%20eq%20null"),
        ("$filter=A eq '$1/Building' or B eq $1/n", "$filter=A%20eq%20'$1/Building'%20or%20B%20eq%201e%2B2"),
        ("$expand=E($filter=A eq $1/n;$top=2)", "$expand=E($filter=A%20eq%201e%2B2;$top=2)"),
        ("name=$1/Building&price=$100", "name=O%27Hara%20%26%20S%C3%B6hne&price=$100"),
        ("$skiptoken=$1/Building", "$skiptoken=O%27Hara%20%26%20S%C3%B6hne"),
    ],
)
def test_ID_12_values_in_a_query(
    query: str, filled: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = b'{"Building":"O\'Hara & S\\u00f6hne","n":1e+2,"no":null}'
    upstream.on("GET", "/Employees(0)", Reply(200, [("Content-Type", "application/json")], answer))
    upstream.on("GET", f"/Employees?{filled}")
    calls = [Call("1", "Employees(0)"), Call("2", f"Employees?{query}")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200}, upstream.lines


def test_ID_12_a_reference_in_path_and_query(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/Customers", CREATED)
    upstream.on("GET", "/Customers(7)/Orders?$filter=By%20eq%207")
    calls = [
        Call("1", "Customers", "POST", JSON, b"{}"),
        Call("2", "$1/Orders?$filter=By eq $1/ID", depends_on=["1"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 201, "2": 200}


@pytest.mark.parametrize(
    "query",
    [
        "$filter=A eq $9/x",
        "$filter=A eq $2/x",
        "$filter=A eq $1/missing",
        "$filter=A eq $1/list/3",
        "$filter=A eq $1/list",
        "$filter=A eq $1",
        "name=$1/missing",
        "name=$text/x",
    ],
)
def test_GW_14_an_unresolved_value_is_never_forwarded(
    query: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"list": [1, 2, 3]}))
    upstream.on("GET", "/t", Reply(200, [("Content-Type", "text/plain")], b"{}"))
    calls = [Call("1", "a"), Call("text", "t"), Call("2", f"E?{query}")]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["2"], 400)
    assert results["2"].json()["error"]["code"] == "UnresolvedReference"
    assert sorted(upstream.lines) == ["GET /a", "GET /t"]


def test_ID_12_a_value_of_a_failed_call_is_a_failed_dependency(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", odata_error(404, "Gone"))
    upstream.on("POST", "/log", Reply(204, expect_body=b'{"why":"Gone"}'))
    calls = [
        Call("1", "a"),
        Call("2", "E?$filter=A eq $1/x"),
        Call("3", "log", "POST", JSON, b'{"why":"$1/error/code"}', depends_on=["1"], condition="true"),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 404, "2": 424, "3": 204}
    assert upstream.problems == []


def test_ID_05_a_call_that_was_not_run_has_no_url(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", odata_error(404))
    calls = [Call("1", "a"), Call("2", "b", depends_on=["1"]), Call("3", "$2/c", depends_on=["2"], condition="true")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 404, "2": 424, "3": 400}


@pytest.mark.parametrize("expression", ["$it/Age gt 1", "Orders/$count gt 1", "$this eq 2", "$root/A/B eq 1"])
def test_ID_13_predefined_names_stay(expression: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    line = "Employees?$filter=" + expression.replace(" ", "%20")
    upstream.on("GET", "/a", json_reply({"Age": 1, "A": {"B": 1}}))
    upstream.on("GET", f"/{line}")
    calls = [Call(name, "a") for name in ("it", "count", "this", "root")]
    calls.append(Call("2", f"Employees?$filter={expression}"))
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {200}


def test_ID_12_a_body_that_grows_too_large(small_gateway: Gateway, front: str, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply(["x" * 3000]))
    calls = [Call("1", "A"), Call("2", "B", "POST", JSON, b'["$1/0","$1/0"]', depends_on=["1"])]
    results = by_id(run_batch(front, small_gateway, calls))
    check_error(results["2"], 400)
    assert upstream.lines == ["GET /A"]
