"""References into, out of and within groups: rules ID-05 to ID-12, JB-11, JR-11 and GW-14 with several members.

Between members the upstream resolves them, inside its transaction; all others are the gateway's to resolve. A
literal reference of the client must never reach an upstream that cannot know it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness.batches import Call, by_id, check_error, run_batch, statuses
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, is_json_batch, patch, post, script_customers, told_members
from harness.scripted import Reply, json_reply


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    things.on("POST", "/Customers(7)/Orders", json_reply({}, 201, [("Location", f"{things.origin}/Orders(9)")]))
    things.on("POST", "/Orders", json_reply({"ID": 9}, 201, [("Location", f"{things.origin}/Orders(9)")]))
    things.on("GET", "/Customers(7)/Orders")
    things.on("GET", "/Orders(9)")
    yield
    assert things.problems == []


BOUND = [
    ({"Customer@odata.bind": "$new"}, {"Customer@odata.bind": "Customers(7)"}),
    ({"Customers@odata.bind": ["$new", "$new"]}, {"Customers@odata.bind": ["Customers(7)", "Customers(7)"]}),
    ({"@odata.id": "$new"}, {"@odata.id": "Customers(7)"}),
    ({"Customer": {"@id": "$new"}}, {"Customer": {"@id": "Customers(7)"}}),
    ({"Deep": [{"A": {"B@odata.bind": "$new"}}]}, {"Deep": [{"A": {"B@odata.bind": "Customers(7)"}}]}),
]


def links(value: Any) -> Any:
    """The value with each link cut down to what lies below the service root: an absolute one is as good."""
    if isinstance(value, dict):
        return {key: links(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [links(inner) for inner in value]
    return value.rpartition("/")[2] if isinstance(value, str) else value


# --- between members


@pytest.mark.parametrize("new", ["new", "2", "a.b~c-d_", "g1"])
@pytest.mark.parametrize("listed", [True, False])
def test_ID_05_the_url_of_another_member(
    listed: bool, new: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """`2` is also what the upstream's batch may call the second member."""
    calls = [post(new), post("1", f"${new}/Orders", depends_on=[new] if listed else [])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {new: 201, "1": 201}
    assert things.applied == ["POST /Customers", "POST /Customers(7)/Orders"]


def test_ID_06_the_query_behind_a_reference_stays(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PATCH", "/Customers(7)?$select=ID", Reply(204))
    calls = [post("new"), patch("1", "$new?$select=ID")]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"new": 201, "1": 204}


def test_GW_06_what_follows_a_reference_must_not_leave_the_root(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    for tail in ("/../../../x", "/%2e%2e/%2e%2e/x", "/$batch"):
        results = by_id(run_batch(front, batching_gateway, [post("new"), post("1", f"$new{tail}")]))
        check_error(results["1"], 400)
        check_error(results["new"], 424)
    assert things.lines == []


@pytest.mark.parametrize("tail", ["/../x", "/..", "/./../x", "/a/../../x", "/../new", "/a/..//../../x?y"])
def test_GW_06_what_follows_a_reference_must_not_leave_what_it_stands_for(
    tail: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = by_id(run_batch(front, batching_gateway, [post("new"), post("1", f"$new{tail}")]))
    check_error(results["1"], 400)
    check_error(results["new"], 424)
    assert things.lines == []


@pytest.mark.parametrize(
    ("tail", "sent"),
    [
        ("/./Orders", "/Orders"),
        ("/x/../Orders", "/Orders"),
        ("/x y", "/x%20y"),
        ("/.", "/"),
        ("/x?y=/../../z", "/x?y=/../../z"),
        ("?y= z", "?y=%20z"),
    ],
)
def test_GW_06_what_follows_a_reference_is_forwarded_as_it_was_checked(
    tail: str, sent: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    run_batch(front, batching_gateway, [post("new"), post("1", f"$new{tail}")])
    body = things.batches[0].body
    assert f'"url":"$1{sent}"'.encode() in body or f"POST $1{sent} HTTP/1.1\r\n".encode() in body


@pytest.mark.parametrize("name", ["if-match", "If-None-Match"])
@pytest.mark.parametrize("listed", [True, False])
def test_ID_09_the_etag_of_another_member(
    listed: bool, name: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [post("new"), patch("1", "Customers(7)", headers={name: "$new"}, depends_on=["new"] if listed else [])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"new": 201, "1": 204}
    assert things.call("PATCH /Customers(7)").header(name) == 'W/"7"'


def test_ID_10_a_quoted_etag_is_no_reference(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [post("1"), patch("2", "Customers(7)", headers={"if-match": '"$1"'})]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"1": 201, "2": 204}
    assert things.call("PATCH /Customers(7)").header("if-match") == '"$1"'


@pytest.mark.parametrize(("sent", "bound"), BOUND)
@pytest.mark.parametrize("listed", [True, False])
def test_ID_11_a_link_to_another_member(
    listed: bool, sent: Any, bound: Any, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [post("new"), post("1", "Orders", sent, depends_on=["new"] if listed else [])]
    if not isinstance(bound.get("Customers@odata.bind"), list):
        assert statuses(run_batch(front, batching_gateway, calls)) == {"new": 201, "1": 201}
        assert json.loads(things.call("POST /Orders").body) == bound
    else:
        # The scripted upstream resolves no second link of an array; what it was told is looked at instead.
        run_batch(front, batching_gateway, calls)
        assert b"$new" not in things.batches[0].body
        assert b'["$1","$1"]' in things.batches[0].body


@pytest.mark.parametrize(
    "second",
    [
        post("1", "$new/Orders"),
        patch("1", "Customers(7)", headers={"if-match": "$new"}),
        post("1", "Orders", {"Customer@odata.bind": "$new"}),
        post("1", "Orders", {"Customer": {"@id": "$new"}}),
    ],
    ids=["url", "etag", "bind", "id"],
)
def test_JB_11_every_reference_to_a_member_is_listed_for_the_upstream(
    second: Call, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """JP-03: without dependsOn a JSON upstream may run the members of a group in any order."""
    run_batch(front, batching_gateway, [post("new"), second])
    if is_json_batch(things):
        first, other = told_members(things)
        assert other["dependsOn"] == [first["id"]]


def test_ID_12_a_value_of_another_member_is_refused_and_never_forwarded(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    for second in (post("1", "Orders", {"Owner": "$new/ID"}), delete("1", "Customers(3)?$filter=ID eq $new/ID")):
        results = by_id(run_batch(front, batching_gateway, [post("new"), second]))
        assert results["1"].status in (400, 501)
        assert results["1"].is_error
        check_error(results["new"], 424)
    assert things.lines == []


@pytest.mark.parametrize("text", ["$1", "$2", "$1/ID", "$5.00", "$new", "costs $1"])
def test_ID_11_text_that_is_no_reference_stays_text(
    text: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Nobody is called so: the text must not begin to mean a member of the upstream's batch."""
    calls = [post("a"), post("b", "Orders", {"Note": text, "x": {"Note@my.bind": text}})]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"a": 201, "b": 201}
    assert json.loads(things.call("POST /Orders").body)["Note"] == text


@pytest.mark.parametrize("value", [{"Customer@odata.bind": "$1"}, {"@id": "$1"}])
def test_GW_14_a_link_to_nobody_never_becomes_a_link_to_a_member(
    value: Any, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = by_id(run_batch(front, batching_gateway, [post("a"), post("b", "Orders", value)]))
    check_error(results["b"], 400)
    check_error(results["a"], 424)
    assert things.lines == []


# --- from outside into a group


def test_GW_14_an_outside_call_uses_what_a_member_made(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PATCH", "/Customers(7)", Reply(204, expect_headers={"if-match": 'W/"7"'}))
    things.on("GET", "/ok?$filter=ID%20eq%207")
    calls = [
        post("new"),
        delete("gone", "Customers(3)"),
        Call("url", "$new/Orders", depends_on=["g"]),
        patch("etag", "$new", depends_on=["g"], headers={"if-match": "$new"}, group=""),
        post("link", "Orders", {"Customer@odata.bind": "$new"}, depends_on=["g"], group=""),
        post("value", "Orders", {"Owner": "$new/ID"}, depends_on=["g"], group=""),
        Call("query", "ok?$filter=ID eq $new/ID", depends_on=["new"]),
    ]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert found == {
        "new": 201,
        "gone": 204,
        "url": 200,
        "etag": 204,
        "link": 201,
        "value": 201,
        "query": 200,
    }
    bodies = sorted(call.body for call in things.log if call.line == "POST /Orders")
    assert [links(json.loads(body)) for body in bodies] == [{"Customer@odata.bind": "Customers(7)"}, {"Owner": 7}]


def test_GW_14_an_outside_call_uses_what_a_member_made_below_another(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """The member that is referred to has a reference for its own URL; its Location counts."""
    calls = [post("new"), post("order", "$new/Orders"), Call("after", "$order", depends_on=["g"])]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"new": 201, "order": 201, "after": 200}
    assert "GET /Orders(9)" in things.lines


def test_GW_14_an_outside_call_uses_the_url_of_a_member_that_was_a_reference(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """PATCH answers no Location: its own URL counts, which is the one that the reference stood for (ID-08)."""
    things.on("PATCH", "/Customers(7)", Reply(204))
    calls = [post("new"), patch("change", "$new?$select=ID"), Call("after", "$change/Orders", depends_on=["g"])]
    things.on("PATCH", "/Customers(7)?$select=ID", Reply(204))
    assert statuses(run_batch(front, batching_gateway, calls)) == {"new": 201, "change": 204, "after": 200}
    assert "GET /Customers(7)/Orders" in things.lines


@pytest.mark.parametrize("reference", ["$m0/Orders", "$m2/Orders"])
def test_GW_14_what_was_rolled_back_cannot_be_referred_to(
    reference: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """The dependent runs by its own condition; what it refers to was never made."""
    calls = [
        post("m0"),
        patch("m1", "Customers(8)"),
        post("m2"),
        Call("after", reference, depends_on=["g"], condition="true"),
    ]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["after"], 400)
    assert results["after"].json()["error"]["code"] == "UnresolvedReference"
    assert not [line for line in things.lines if line.startswith("GET")]


def test_GW_14_a_group_is_no_resource(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [post("1"), post("2"), Call("after", "$g/Orders", depends_on=["g"])]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["after"], 400)
    assert len(things.log) == 1


# --- from a group to outside


def test_GW_14_members_use_what_an_earlier_call_made(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("DELETE", "/Customers(3)?owner=7", Reply(204))
    calls = [
        post("new", group=""),
        post("url", "$new/Orders", depends_on=["new"]),
        patch("etag", "$new", depends_on=["new"], headers={"if-match": "$new"}),
        post("link", "Orders", {"Customer@odata.bind": "$new", "Owner": "$new/ID"}, depends_on=["new"]),
        delete("query", "Customers(3)?owner=$new/ID"),
    ]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert found == {"new": 201, "url": 201, "etag": 204, "link": 201, "query": 204}
    assert things.sizes == [4]
    assert things.call("PATCH /Customers(7)").header("if-match") == 'W/"7"'
    assert links(json.loads(things.call("POST /Orders").body)) == {"Customer@odata.bind": "Customers(7)", "Owner": 7}


@pytest.mark.parametrize("outside", ["1", "2"])
def test_GW_14_names_of_outside_calls_are_not_taken_for_members(
    outside: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """The outside call has the name that the upstream's batch may give to a member."""
    calls = [
        post(outside, group=""),
        post("a", f"${outside}/Orders", depends_on=[outside]),
        post("b", "Orders", {"C@odata.bind": f"${outside}"}, headers={"if-match": f"${outside}"}),
    ]
    assert statuses(run_batch(front, batching_gateway, calls)) == {outside: 201, "a": 201, "b": 201}
    assert things.call("POST /Orders").header("if-match") == 'W/"7"'
    assert links(json.loads(things.call("POST /Orders").body)) == {"C@odata.bind": "Customers(7)"}


@pytest.mark.parametrize(
    ("match", "none_match"), [("$new", "$out"), ("$out", "$new")], ids=["member-first", "outside-first"]
)
def test_GW_14_two_etags_of_two_places(
    match: str, none_match: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Whatever becomes of it, a reference is resolved or refused: it never arrives as it stands."""
    things.on("GET", "/tagged", json_reply({}, headers=[("ETag", '"out"')]))
    both = patch("1", "Customers(7)", headers={"if-match": match, "if-none-match": none_match}, depends_on=["out"])
    results = by_id(run_batch(front, batching_gateway, [Call("out", "tagged"), post("new"), both]))
    if results["1"].status == 204:
        call = things.call("PATCH /Customers(7)")
        values = {"$new": 'W/"7"', "$out": '"out"'}
        assert [call.header("if-match"), call.header("if-none-match")] == [values[match], values[none_match]]
    else:
        check_error(results["1"], 400)
        check_error(results["new"], 424)
        assert things.batches == []


@pytest.mark.parametrize(
    "member",
    [
        post("bad", "$out/Orders", depends_on=["out"]),
        patch("bad", "Customers(7)", headers={"if-match": "$out"}, depends_on=["out"]),
        post("bad", "Orders", {"C@odata.bind": "$out"}, depends_on=["out"]),
        post("bad", "Orders", {"Owner": "$out/ID"}, depends_on=["out"]),
    ],
    ids=["url", "etag", "link", "value"],
)
def test_GW_14_what_an_outside_call_did_not_give_fails_the_group(
    member: Call, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/nothing", Reply(204))
    calls = [post("out", "nothing", group=""), post("first"), member, post("last")]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["bad"], 400)
    check_error(results["first"], 424)
    check_error(results["last"], 424)
    assert things.lines == ["POST /nothing"]


def test_GW_10_a_group_never_follows_a_location_on_a_foreign_origin(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/away", json_reply({}, 201, [("Location", "http://elsewhere.example/Customers(7)")]))
    calls = [post("out", "away", group=""), post("1", "$out/Orders", depends_on=["out"]), post("2")]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["1"], 400)
    check_error(results["2"], 424)
    assert things.batches == []


def test_GW_10_locations_of_members_are_public(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    results = by_id(run_batch(front, batching_gateway, [post("new"), post("order", "$new/Orders")]))
    assert str(things.port) not in results["new"].headers["location"]
    assert results["new"].headers["location"].endswith("/svc/Customers(7)")
    assert results["order"].headers["location"].endswith("/svc/Orders(9)")
