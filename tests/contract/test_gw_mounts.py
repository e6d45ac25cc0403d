"""Locations, references and links where part of a route is mounted from another upstream: rules GW-10, GW-14, ID-11.

What an upstream says of itself lies below the prefix under which it is mounted, for the client and for the gateway;
a reference must never lead to another upstream than the resource has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness.batches import Call, by_id, check_error, run_batch
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, patch, post
from harness.scripted import Reply, ScriptedUpstream, json_reply

ROUTE = "/mounted/"


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream, orders: ScriptedUpstream) -> Iterator[None]:
    """Only `orders` knows the paths of the tests, so that a call at the wrong door is 404 and stands in its log."""
    for path in ("/Items(1)", "/Items(1)/Lines", "/Items(2)"):
        orders.on("GET", path)
    orders.on("PATCH", "/Items(1)", Reply(204))
    yield
    assert [upstream.problems, orders.problems] == [[], []]


def locations(orders: ScriptedUpstream) -> dict[str, str]:
    return {
        "absolute": f"{orders.origin}/Items(1)",
        "path": "/Items(1)",
        "relative": "Items(1)",
        "public": "http://gw.example/mounted/orders/Items(1)",
        "public-path": "/mounted/orders/Items(1)",
    }


KINDS = ["absolute", "path", "relative", "public", "public-path"]


@pytest.mark.parametrize("kind", ["absolute", "path"])
@pytest.mark.parametrize("name", ["Location", "OData-EntityId", "Content-Location"])
def test_GW_10_a_location_leads_below_the_mount(
    name: str, kind: str, front: str, gateway: Gateway, orders: ScriptedUpstream
) -> None:
    orders.on("POST", "/Items", Reply(201, [(name, locations(orders)[kind])]))
    [result] = run_batch(front, gateway, [post("1", "orders/Items", group="")], route=ROUTE)
    found = result.headers[name.lower()]
    assert found.endswith("/mounted/orders/Items(1)")
    assert str(orders.port) not in found


def test_GW_10_a_next_link_leads_below_the_mount(front: str, gateway: Gateway, orders: ScriptedUpstream) -> None:
    orders.on("GET", "/Items", json_reply({"value": [], "@odata.nextLink": f"{orders.origin}/Items?$skiptoken=2"}))
    [result] = run_batch(front, gateway, [Call("1", "orders/Items")], route=ROUTE)
    assert result.json()["@odata.nextLink"].endswith("/mounted/orders/Items?$skiptoken=2")


def test_GW_10_too_many_next_links_stay_and_the_status_too(
    front: str, gateway: Gateway, orders: ScriptedUpstream
) -> None:
    links = [{"@nextLink": "/Items"}] * 100_000
    orders.on("GET", "/Items", json_reply(links))
    [result] = run_batch(front, gateway, [Call("1", "orders/Items")], route=ROUTE)
    assert (result.status, result.json()) == (200, links)
    assert "next links" in result.headers["batchwire-note"]


@pytest.mark.parametrize("kind", KINDS)
def test_GW_14_a_reference_leads_to_the_upstream_of_the_resource(
    kind: str, front: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    orders.on("POST", "/Items", Reply(201, [("Location", locations(orders)[kind])]))
    calls = [
        post("new", "orders/Items", group=""),
        Call("lines", "$new/Lines", depends_on=["new"]),
        patch("change", "$new", group="", depends_on=["lines"]),
        Call("again", "$change/Lines", depends_on=["change"]),
    ]
    results = by_id(run_batch(front, gateway, calls, route=ROUTE))
    assert [results[name].status for name in ("new", "lines", "change", "again")] == [201, 200, 204, 200]
    assert upstream.lines == []


def test_GW_14_the_own_url_of_a_call_keeps_its_mount(
    front: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    calls = [Call("1", "orders/Items(1)?$select=ID"), Call("2", "$1/Lines", depends_on=["1"])]
    orders.on("GET", "/Items(1)?$select=ID")
    results = by_id(run_batch(front, gateway, calls, route=ROUTE))
    assert [results["1"].status, results["2"].status] == [200, 200]
    assert upstream.lines == []


def test_GW_14_a_location_in_the_other_upstream_is_below_its_mount(
    front: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    """A public one of the unmounted upstream that names the mounted part, and the other way round."""
    upstream.on("POST", "/Make", Reply(201, [("Location", "http://gw.example/mounted/orders/Items(1)")]))
    orders.on("POST", "/Make", Reply(201, [("Location", "http://gw.example/mounted/Customers(7)")]))
    upstream.on("GET", "/Customers(7)")
    calls = [
        post("a", "Make", group=""),
        post("b", "orders/Make", group=""),
        Call("c", "$a", depends_on=["a"]),
        Call("d", "$b", depends_on=["b"]),
    ]
    results = by_id(run_batch(front, gateway, calls, route=ROUTE))
    assert [results["c"].status, results["d"].status] == [200, 200]


@pytest.mark.parametrize("location", ["/mounted/../x", "/mounted/orders/../../x", "../../x", "http://elsewhere/x"])
def test_GW_10_a_location_that_leaves_is_not_followed(
    location: str, front: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    orders.on("POST", "/Items", Reply(201, [("Location", location)]))
    calls = [post("new", "orders/Items", group=""), Call("lines", "$new/Lines", depends_on=["new"])]
    check_error(by_id(run_batch(front, gateway, calls, route=ROUTE))["lines"], 400)
    assert [upstream.lines, orders.lines] == [[], ["POST /Items"]]


@pytest.mark.parametrize("kind", KINDS)
def test_ID_11_a_link_is_one_that_its_upstream_understands(
    kind: str, front: str, gateway: Gateway, orders: ScriptedUpstream
) -> None:
    """Relative to the service root of the upstream that gets it, whose own names know nothing of the mount."""
    orders.on("POST", "/Items", Reply(201, [("Location", locations(orders)[kind])]))
    orders.on("POST", "/Lines", Reply(204))
    orders.on("POST", "/Items(1)/Lines", Reply(204))
    bound = {"Item@odata.bind": "$new"}
    calls = [
        post("new", "orders/Items", group=""),
        post("1", "orders/Lines", bound, group="", depends_on=["new"]),
        post("2", "$new/Lines", bound, group="", depends_on=["new"]),
    ]
    results = by_id(run_batch(front, gateway, calls, route=ROUTE))
    assert [results["1"].status, results["2"].status] == [204, 204]
    for line in ("POST /Lines", "POST /Items(1)/Lines"):
        assert json.loads(orders.call(line).body) == {"Item@odata.bind": "Items(1)"}


def test_GW_14_references_of_a_group_in_a_mounted_upstream(
    front: str, batching_gateway: Gateway, things: BatchingUpstream, batching_orders: BatchingUpstream
) -> None:
    there = batching_orders
    there.on("POST", "/Items", json_reply({}, 201, [("Location", f"{there.origin}/Items(1)")]))
    there.on("POST", "/Items(1)/Lines", json_reply({}, 201, [("Location", f"{there.origin}/Lines(5)")]))
    there.on("POST", "/Lines", Reply(204))
    there.on("DELETE", "/Lines(5)", Reply(204))
    calls = [
        post("new", "orders/Items"),
        post("line", "$new/Lines"),
        delete("gone", "$line", group="", depends_on=["g"]),
        post("h1", "$new/Lines", {"Item@odata.bind": "$new"}, group="h", depends_on=["gone"]),
        post("h2", "orders/Lines", {"Item@odata.bind": "$new"}, group="h", depends_on=["g"]),
    ]
    results = by_id(run_batch(front, batching_gateway, calls))
    found = {name: result.status for name, result in results.items()}
    assert found == {"new": 201, "line": 201, "gone": 204, "h1": 201, "h2": 204}
    assert results["line"].headers["location"].endswith("/svc/orders/Lines(5)")
    assert json.loads(there.call("POST /Lines").body) == {"Item@odata.bind": "Items(1)"}
    assert [things.lines, things.problems, there.problems] == [[], [], []]
