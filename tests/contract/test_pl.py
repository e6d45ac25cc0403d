"""What waits, and what it costs: rules PL-01 to PL-11 of the contract, over the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from harness import documents, multiparts, rest
from harness.batches import (
    FRONTS,
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
from harness.batching import BatchingUpstream
from harness.canary import Canary
from harness.config import NATIVE
from harness.documents import MULTIPART, parts, send
from harness.gateway import Gateway
from harness.grouped import post, script_customers
from harness.memory import Peak
from harness.multiparts import HTTP_TYPE, change_set, document, part
from harness.scripted import Reply, ScriptedUpstream, json_reply

JSON = {"content-type": "application/json"}
COMPATIBLE = {"version": {}}


@pytest.fixture(autouse=True)
def _bystander_is_served(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/canary")


def watched(gateway: Gateway, served_by: str = NATIVE) -> AbstractContextManager[object]:
    """Another client is served meanwhile; it speaks HTTP/2 where gRPC and REST share a listener."""
    return Canary(gateway) if served_by == NATIVE else nullcontext()


def error_code(result: Any) -> str:
    return str(result.json()["error"]["code"])


# --- PL-01: long work goes in slices


def test_PL_01_many_conditions_on_a_large_answer(
    front: str, gateway: Gateway, served_by: str, upstream: ScriptedUpstream
) -> None:
    """Each of them is right, and another client is served meanwhile."""
    upstream.on("GET", "/big", json_reply({f"x{n}": n for n in range(40_000)}))
    upstream.on("GET", "/n", Reply(204))
    upstream.on("GET", "/y", Reply(204))
    few = " or ".join(f"$a/x{n} eq 0.5" for n in range(200))
    calls = [Call("a", "big")]
    for n in range(8):
        calls.append(Call(f"no{n}", "n", depends_on=["a"], condition=few))
        calls.append(Call(f"yes{n}", "y", depends_on=["a"], condition=f"{few} or $a/x{n} eq {n}"))
    with watched(gateway, served_by):
        found = statuses(run_batch(front, gateway, calls))
    assert found == {
        "a": 200,
        **{f"no{n}": 424 for n in range(8)},
        **{f"yes{n}": 204 for n in range(8)},
    }


def test_PL_01_a_long_body_is_searched_in_pieces(
    front: str, gateway: Gateway, served_by: str, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"v": "found"}))
    upstream.on("POST", "/b", Reply(204))
    body = [*(["$q/v", "$b", "x" * 50] * 15_000), "$a/v"]
    calls = [Call("a", "a"), Call("b", "b", "POST", JSON, json.dumps(body).encode(), depends_on=["a"])]
    if front == GRPC_BATCH:
        calls.append(Call("c", "a", depends_on=["b"]))
    with watched(gateway, served_by):
        assert set(statuses(run_batch(front, gateway, calls)).values()) == {200, 204}
    assert json.loads(upstream.call("POST /b").body) == [*body[:-1], "found"]


@pytest.mark.parametrize("names", [["q"] * 100_000, ["a"] * 60_000, [f"n{n}" for n in range(60_000)]])
def test_PL_01_a_dependsOn_of_many_names_with_a_condition(
    names: list[str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a")
    condition = " or ".join(f"$m{n}/$succeeded" for n in range(100))
    with watched(gateway):
        found = statuses(
            run_batch("rest-json", gateway, [Call("a", "a"), Call("b", "a", depends_on=names, condition=condition)])
        )
    assert found == {"a": 200, "b": 424 if names[0] == "a" else 400}


def test_PL_01_a_group_whose_members_have_long_conditions(batching_gateway: Gateway, things: BatchingUpstream) -> None:
    script_customers(things)
    condition = "$a/$succeeded and not (" + " or ".join(f"$a/x{n} eq 1" for n in range(200)) + ")"
    members = [post(f"m{n}", depends_on=["a"], condition=condition) for n in range(30)]
    found = statuses(run_batch(GRPC_BATCH, batching_gateway, [Call("a", "Customers(7)"), *members]))
    assert found == {"a": 200, **{f"m{n}": 201 for n in range(30)}}
    assert things.sizes == [30]


# --- PL-02: what is held counts


def send_behind_a_slow_call(
    wire: rest.Wire, upstream: ScriptedUpstream, made: Iterable[bytes], fields: dict[str, str]
) -> threading.Thread:
    """Streams calls behind one that is held for a second; gives the thread that goes on sending them."""
    gate = upstream.gate()
    upstream.on("GET", "/slow", json_reply({}, gate=gate))
    wire.begin("POST", "/stream/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **fields})
    wire.chunk(b'{"requests":[' + rest.encode(rest.get_call("slow", "slow")))
    assert upstream.wait_until(lambda: "GET /slow" in upstream.lines)
    sender = threading.Thread(target=lambda: [wire.chunk(b"," + one) for one in made])
    sender.start()
    sender.join(1)
    gate.open()
    return sender


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (400, {"if": "'" + "x" * 1_000_000 + "' eq 'x'"}),
        (8_000, {"url": "u" * 30_000}),
        (400, {"method": "post", "body": "x" * 20_000, "junk": "x" * 1_000_000}),
    ],
    ids=["conditions", "URLs", "bodies in what else came"],
)
def test_PL_02_a_stream_of_calls_that_wait_is_bounded(
    count: int, more: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """All of them wait for one that is held until the client has sent more than may be pending."""
    upstream.fallback = lambda _: json_reply({})
    call = rest.encode({"id": "NAME", "method": "get", "url": "a", "dependsOn": ["slow"], **more})
    made = (call.replace(b"NAME", b"n%d" % n, 1) for n in range(count))
    with Peak(gateway) as peak, rest.Wire(gateway.http_port) as wire:
        sender = send_behind_a_slow_call(wire, upstream, made, rest.STRICT)
        sender.join(30)
        wire.chunk(b"]}")
        wire.chunk(b"")
        found = wire.answer().by_id()
    assert len(found) == count + 1
    assert found["slow"]["status"] == 200
    assert peak.grown < 128 << 20


def test_PL_02_errors_that_wait_for_their_turn_are_bounded(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """In request order (GW-23) each error says the id again, however long; nothing is read beyond the window."""
    made = [rest.encode(rest.get_call(f"{number}-" + "i" * 1_000_000, "a")) for number in range(300)]
    with Peak(gateway) as peak, rest.Wire(gateway.http_port) as wire:
        sender = send_behind_a_slow_call(wire, upstream, made, {})
        found = []

        def read() -> None:
            found.extend(wire.answer().responses)

        reader = threading.Thread(target=read)
        reader.start()
        sender.join(30)
        wire.chunk(b"]}")
        wire.chunk(b"")
        reader.join(30)
    assert [one["status"] for one in found] == [200] + [400] * 300
    assert peak.grown < 128 << 20


# --- PL-03: lengths


def test_PL_03_a_long_id_costs_its_call_alone(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    longest, over = "i" * 1024, "j" * 1025
    results = by_id(
        run_batch(front, gateway, [Call(longest, "a"), Call(over, "a"), Call("3", "a", depends_on=[longest])])
    )
    assert (results[longest].status, results["3"].status) == (200, 200)
    check_error(results[over], 400)
    assert error_code(results[over]) == "IdTooLong"
    assert upstream.lines == ["GET /a", "GET /a"]


def test_PL_03_a_long_content_id(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    ids = ["i" * 1024, "j" * 1025]
    found = parts(way, gateway, *[Call(name, "a") for name in ids], headers={"Prefer": "continue-on-error"})
    assert [(one.content_id, one.status) for one in found] == [(ids[0], 200), (ids[1], 400)]


@pytest.mark.parametrize("front", [name for name in FRONTS if name != GRPC_EXECUTE], indirect=True)
def test_PL_03_too_many_names_in_dependsOn(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    names = ["a"] * 65_537
    calls = [Call("a", "a"), Call("most", "a", depends_on=names[1:]), Call("over", "a", depends_on=names)]
    results = by_id(run_batch(front, gateway, calls))
    assert (results["a"].status, results["most"].status) == (200, 200)
    check_error(results["over"], 400)


def test_PL_03_a_long_name_of_a_group(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    results = by_id(run_batch(front, gateway, [Call("1", "a", group="g" * 1024), Call("2", "a", group="h" * 1025)]))
    assert results["1"].status == 200
    check_error(results["2"], 400)


# --- PL-04: text of a user in a body

TEXTS: list[Any] = [
    {"note": "$1"},
    {"note": "$1/secret"},
    {"note": ["$1", {"x": "$1/secret"}]},
    {"$1": "$1/secret"},
    "$1/secret",
    {"note": "$1/secret", "id": "$1", "odata.id": "$1", "Nav@odata.bind.not": "$1"},
]


@pytest.mark.parametrize("text", TEXTS)
def test_PL_04_text_is_no_reference(text: Any, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", json_reply({"secret": "of another"}))
    upstream.on("GET", "/b", json_reply({"secret": "of b"}))
    upstream.on("POST", "/notes", Reply(204))
    body = json.dumps(text).encode()
    calls = [Call("1", "a"), Call("2", "b"), Call("3", "notes", "POST", JSON, body, depends_on=["2"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200, "3": 204}
    assert json.loads(upstream.call("POST /notes").body) == text


def test_PL_04_a_bare_id_stands_for_nothing_even_where_it_is_named(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"v": 7}))
    upstream.on("POST", "/b", Reply(204))
    calls = [Call("1", "a"), Call("2", "b", "POST", JSON, b'{"bare":"$1","value":"$1/v"}', depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 204}
    assert json.loads(upstream.call("POST /b").body) == {"bare": "$1", "value": 7}


def test_PL_04_multipart_has_links_only(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/a", json_reply({"ID": 7, "v": 1}, 201, [("Location", "http://gw.example/svc/A(7)")]))
    upstream.on("POST", "/b", Reply(204))
    body = {"x": "$1", "y": "$1/v", "N@odata.bind": "$1", "M@odata.bind": ["$1"], "n": {"@id": "$1/B"}}
    found = parts(
        way, gateway, Call("1", "a", "POST", JSON, b"{}"), Call("2", "b", "POST", JSON, json.dumps(body).encode())
    )
    assert [one.status for one in found] == [201, 204]
    assert json.loads(upstream.call("POST /b").body) == {
        **body,
        "N@odata.bind": "A(7)",
        "M@odata.bind": ["A(7)"],
        "n": {"@id": "A(7)/B"},
    }


# --- PL-05: a condition on a member of a group that cannot run

CONDITIONS = ["$a/$succeeded", "$a/v eq 1", "$m/$succeeded", "$other/$succeeded", "nonsense", "$g/$succeeded", ""]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_PL_05_a_group_over_a_plain_upstream_is_501(
    condition: str, place: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"v": 1}))
    calls = [Call("a", "a"), *[Call(name, "b", group="g") for name in ("m", "n", "o")], Call("last", "a")]
    calls[1 + place].condition = condition
    found = statuses(run_batch(front, gateway, calls))
    group = {name: found[name] for name in ("m", "n", "o")}
    assert (found["a"], found["last"]) == (200, 200)
    # What is wrong with a call alone is said of it where it was found before the group was.
    assert set(group.values()) <= {501, 400}
    assert list(group.values()).count(501) >= 2
    assert upstream.lines == ["GET /a", "GET /a"]


def test_PL_05_the_answer_does_not_wait(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A member waits for a call that is answered only when the group has been."""
    gate = upstream.gate()
    upstream.on("GET", "/a", json_reply({}, gate=gate))
    calls = [
        Call("a", "a"),
        Call("m", "b", group="g", depends_on=["a"], condition="$a/$succeeded"),
        Call("n", "b", group="g"),
    ]
    gate.open()
    assert statuses(run_batch(front, gateway, calls)) == {"a": 200, "m": 501, "n": 501}


@pytest.mark.parametrize("condition", ["$a/$succeeded", "$a/v eq 1", "true"])
def test_PL_05_a_group_of_one_runs_by_its_condition(
    condition: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"v": 1}))
    upstream.on("GET", "/b")
    found = statuses(run_batch(front, gateway, [Call("a", "a"), Call("m", "b", group="g", condition=condition)]))
    assert found == {"a": 200, "m": 200}


# --- PL-06: null


@pytest.mark.parametrize("profile", [{}, rest.STRICT])
def test_PL_06_if_null_is_no_condition(profile: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    batch = {"requests": [{"id": "1", "method": "GET", "url": "A", "if": None}]}
    found = rest.post(gateway.http_port, batch, version=profile).by_id()
    assert found["1"]["status"] == 200


@pytest.mark.parametrize("said", [0, False, [], {}])
def test_PL_06_anything_else_that_is_no_string_is(said: Any, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    batch = {"requests": [{"id": "1", "method": "GET", "url": "A", "if": said}]}
    assert rest.post(gateway.http_port, batch).by_id()["1"]["status"] == 400
    assert upstream.lines == []


# --- PL-07: work of one condition


def test_PL_07_a_condition_that_is_too_much_work(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", json_reply({"text": "x" * 900_000, "n": 1}))
    upstream.on("GET", "/b")
    calls = [
        Call("a", "a"),
        Call("much", "b", depends_on=["a"], condition=" or ".join(["contains(tolower($a/text),'y')"] * 40)),
        Call("some", "b", depends_on=["a"], condition="contains($a/text,'xx') and length($a/text) eq 900000"),
    ]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: result.status for name, result in results.items()} == {"a": 200, "much": 424, "some": 200}
    assert "too much work" in results["much"].json()["error"]["message"]


def test_PL_07_objects_that_are_compared_and_answers_that_are_read_are_bounded(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    for name, size, last in (("a", 300_000, 1), ("b", 300_000, 2), ("c", 50_000, 3), ("d", 50_000, 3.0)):
        upstream.on("GET", f"/{name}", json_reply({"l": [*[[]] * (size // 4), last]}))
    for n in range(4):
        upstream.on("GET", f"/t{n}", json_reply({"t": "x" * 900_000}))
    upstream.on("GET", "/x")
    calls = [Call(name, name) for name in ("a", "b", "c", "d", "t0", "t1", "t2", "t3")]
    conditions = {
        "large": "$a/l ne $b/l",
        "small": "$c/l eq $d/l",
        "many": " or ".join(f"$t{n}/none ne null" for n in range(4)),
        "few": "not " + " and not ".join(f"($t{n}/none ne null)" for n in range(3)),
    }
    waited = [call.id for call in calls]
    calls += [Call(name, "x", depends_on=waited, condition=text) for name, text in conditions.items()]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: results[name].status for name in conditions} == {"large": 424, "small": 200, "many": 424, "few": 200}
    for name in ("large", "many"):
        assert "too much work" in results[name].json()["error"]["message"]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("$a/o eq $b/o", True),
        ("$a/o ne $b/o", False),
        ("$a/o eq $a/l", False),
        ("$a/o/x eq $b/o/x and $a/l eq $b/l", True),
        ("$a eq $b", False),
        ("$a/n in (1, $b/n)", True),
        ("$a/l/0 eq 1", True),
        ("$a/l/0 ne 1", False),
        ("$a/o/y/0 gt 1.5 and $b/o/y/0 eq $a/o/y/0", True),
        ("$a/l/7 eq null", True),
        ("$a/s eq 'ä\"'", True),
        ("$a/f eq 1.0 and $a/t and not $b/t", False),
        ("$a/none eq null and $a/o/none eq null and $missing/x eq null", False),
    ],
)
def test_PL_07_values_of_conditions(
    condition: str, runs: bool, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"o": {"x": 1, "y": [2.0]}, "l": [1], "n": 2, "s": 'ä"', "f": 1, "t": True}))
    upstream.on("GET", "/b", json_reply({"l": [1], "o": {"y": [2], "x": 1}, "n": 2, "t": True}))
    upstream.on("GET", "/c")
    calls = [Call("a", "a"), Call("b", "b"), Call("c", "c", depends_on=["a", "b"], condition=condition)]
    assert statuses(run_batch(front, gateway, calls))["c"] == (200 if runs else 424)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("$a/l/x ne 5", "$a/l/x asks an array for a member"),
        ("$a/l/$count ne 1", "$a/l/$count asks an array for a member"),
        ("$a/l/01 ne 5", "$a/l/01 asks an array for a member"),
        ("$a/l ne 5", "an object or array is compared with a value of another kind"),
        ("5 ne $a/o", "an object or array is compared with a value of another kind"),
        ("$a in (1, 2)", "an object or array is compared with a value of another kind"),
        ("not ($a/o eq 'x')", "an object or array is compared with a value of another kind"),
        ("$a/n == 2", "the condition is not understood at character"),
        ("$a/n eq 2 2", "the condition does not end where it should"),
        ("$b/n eq 2", "it names a call that is not before it, or is of its own group"),
    ],
)
def test_JB_19_a_condition_that_cannot_be_evaluated_lets_nothing_run_and_says_why(
    condition: str, why: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"o": {"x": 1}, "l": [1], "n": 2}))
    calls = [Call("a", "a"), Call("c", "c", "DELETE", depends_on=["a"], condition=condition)]
    found = by_id(run_batch(front, gateway, calls))["c"]
    assert found.status == 424
    assert f"the condition cannot be evaluated: {why}" in found.json()["error"]["message"]
    assert upstream.lines == ["GET /a"]


# --- PL-08: where a reference leads


@pytest.mark.parametrize(
    "location", ["", "#x", "?x=1", "Items", "Items/", "./Items", "http://gw.example/svc/Items", "/svc/", "."]
)
def test_PL_08_what_names_no_new_resource_gives_no_url(
    location: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/Items", json_reply({}, 201, [("Location", location)]))
    calls = [Call("a", "Items", "POST", JSON, b"{}"), Call("b", "$a", "DELETE", depends_on=["a"])]
    results = by_id(run_batch(front, gateway, calls))
    assert results["a"].status == 201
    check_error(results["b"], 400)
    assert error_code(results["b"]) == "UnresolvedReference"
    assert upstream.lines == ["POST /Items"]


def test_PL_08_the_fragment_is_dropped(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/Items", json_reply({}, 201, [("Location", "/Items(3)?x=1#frag")]))
    upstream.on("GET", "/Items(3)?x=1")
    calls = [Call("a", "Items", "POST", JSON, b"{}"), Call("b", "$a", depends_on=["a"])]
    assert statuses(run_batch(front, gateway, calls)) == {"a": 201, "b": 200}


@pytest.mark.parametrize(
    ("location", "rest", "sent"),
    [
        ("/Items(3)?x=1", "/y", "/Items(3)/y?x=1"),
        ("/Items(3)/?x=1", "/y", "/Items(3)/y?x=1"),
        ("/Items(3)?x=1&z=2", "/y?z=3&w", "/Items(3)/y?x=1&z=3&w"),
        ("/Items(3)?x=1", "?x=2", "/Items(3)?x=2"),
        ("/Items(3)?x=1", "?y=2", "/Items(3)?x=1&y=2"),
        ("/Items(3)?x=1", "/y?", "/Items(3)/y?x=1"),
        ("/Items(3)", "/y?z=3", "/Items(3)/y?z=3"),
        ("/Items(3)?", "/y", "/Items(3)/y"),
    ],
)
def test_PL_08_the_query_belongs_to_the_resource(
    location: str, rest: str, sent: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/Items", json_reply({}, 201, [("Location", location)]))
    upstream.on("GET", sent)
    calls = [Call("a", "Items", "POST", JSON, b"{}"), Call("b", "$a" + rest, depends_on=["a"])]
    assert statuses(run_batch(front, gateway, calls)) == {"a": 201, "b": 200}
    assert upstream.lines == ["POST /Items", "GET " + sent]


@pytest.mark.parametrize("entity", ["/Items(3)", "http://gw.example/svc/Items(3)", "Items(3)"])
def test_PL_08_the_entity_id_serves_where_there_is_no_location(
    entity: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/Items", Reply(204, [("OData-EntityId", entity), ("Content-Location", "/Items(9)")]))
    upstream.on("DELETE", "/Items(3)", Reply(204))
    calls = [Call("a", "Items", "POST", JSON, b"{}"), Call("b", "$a", "DELETE", depends_on=["a"])]
    assert statuses(run_batch(front, gateway, calls)) == {"a": 204, "b": 204}


def test_PL_08_location_comes_before_the_entity_id(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = [("OData-EntityId", "/Items(9)"), ("Location", "/Items(3)")]
    upstream.on("POST", "/Items", json_reply({}, 201, fields))
    upstream.on("PATCH", "/Items(1)", Reply(204, [("OData-EntityId", "urn:x:9")]))
    upstream.on("GET", "/Items(3)")
    upstream.on("GET", "/Items(1)")
    calls = [
        Call("a", "Items", "POST", JSON, b"{}"),
        Call("b", "$a", depends_on=["a"]),
        Call("c", "Items(1)", "PATCH", JSON, b"{}"),
        Call("d", "$c", depends_on=["c"]),
    ]
    assert statuses(run_batch(front, gateway, calls)) == {"a": 201, "b": 200, "c": 204, "d": 200}


@pytest.mark.parametrize("etag", ['"7"', 'W/"ä"'])
def test_PL_08_an_etag_of_a_body(etag: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", json_reply({"@odata.etag": etag, "n": 1}))
    upstream.on("PATCH", "/b", Reply(204))
    calls = [Call("a", "a"), Call("b", "b", "PATCH", {**JSON, "If-Match": "$a"}, b"{}", depends_on=["a"])]
    assert statuses(run_batch(front, gateway, calls)) == {"a": 200, "b": 204}


# --- PL-09: ids of the compatible profile

OPAQUE = ["joe@example.com", "a+b", "urn:x:1", "a=b,c;d!*'{}&#%|"]


@pytest.mark.parametrize("name", OPAQUE)
def test_PL_09_an_opaque_id_is_echoed(name: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a")
    upstream.on("POST", "/b", Reply(204))
    batch = {
        "requests": [
            {"id": name, "method": "GET", "url": "a"},
            {"id": "2", "method": "POST", "url": "b", "dependsOn": [name], "body": {"x": f"${name}/path"}},
        ]
    }
    found = rest.post(gateway.http_port, rest.encode(batch), version={}).by_id()
    assert {key: value["status"] for key, value in found.items()} == {name: 200, "2": 204}
    assert json.loads(upstream.call("POST /b").body) == {"x": f"${name}/path"}
    with pytest.raises(Refused):
        send("rest", gateway, rest.encode(batch), documents.JSON)


@pytest.mark.parametrize("name", OPAQUE)
def test_PL_09_an_opaque_content_id_is_echoed(
    name: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a")
    found = parts(way, gateway, Call(name, "a"), **COMPATIBLE)
    assert [(one.content_id, one.status) for one in found] == [(name, 200)]
    with pytest.raises(Refused):
        parts(way, gateway, Call(name, "a"))


@pytest.mark.parametrize("name", ['a"b', "a\\b", "<a@b>", "a b", "a/b", "$a", "(a)", "a\tb", "ä"])
def test_PL_09_other_characters_are_not(name: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    batch = {"requests": [{"id": name, "method": "GET", "url": "a"}]}
    assert rest.post(gateway.http_port, rest.encode(batch), version={}).status == 400
    assert upstream.lines == []


def test_PL_09_the_refusal_names_the_characters_of_the_profile(gateway: Gateway) -> None:
    batch = rest.encode({"requests": [{"id": "a b", "method": "GET", "url": "a"}]})
    words = "each request object needs an id of letters, digits and -._~"
    assert rest.post(gateway.http_port, batch).json()["error"]["message"] == words
    taken = rest.post(gateway.http_port, batch, version={}).json()["error"]["message"]
    assert taken == words + "@+:=,;!*'{}&#%|"


# --- PL-10: a change set without parts


def get(name: str) -> bytes:
    return part(b"GET " + name.encode() + b" HTTP/1.1\r\n\r\n", HTTP_TYPE)


@pytest.mark.parametrize(
    "items",
    ["A s B", "s A", "A s", "s", "s s", "A s s B", "A s C B"],
)
def test_PL_10_each_part_has_its_answer(items: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda _: json_reply({})
    made = []
    for number, item in enumerate(items.split()):
        if item == "s":
            made.append(change_set(boundary=f"s{number}".encode()))
        elif item == "C":
            member = multiparts.part_of(Call("c", "C", "POST", JSON, b"{}"))
            made.append(change_set(member, boundary=f"s{number}".encode()))
        else:
            made.append(get(item))
    found = documents.read(send(way, gateway, document(*made)))
    assert [0 if one.members == [] else 1 for one in found] == [0 if item == "s" else 1 for item in items.split()]
    as_json = send(way, gateway, document(*made), MULTIPART, {"Accept": "application/json"})
    assert len(json.loads(as_json.body)["responses"]) == len(items.replace(" ", "").replace("s", ""))


def test_PL_10_flat_answers_have_no_part_for_it(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    script_customers(things)
    found = documents.read(
        send(way, batching_gateway, document(get("ok"), change_set(), get("Customers(7)")), route="/flat/")
    )
    assert [one.status for one in found] == [200, 200]
    assert [call.line for call in things.log] == ["GET /ok", "GET /Customers(7)"]


# --- PL-11: what is not kept is not null


@pytest.mark.parametrize("asked", ["$a/x eq null", "$a/x ne 1", "not ($a/x eq 1)"])
def test_PL_11_a_value_of_a_large_answer_is_not_null(
    asked: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"x": 1, "text": "y" * (1 << 20)}))
    calls = [Call("a", "a"), Call("b", "b", "POST", JSON, b"{}", depends_on=["a"], condition=asked)]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["b"], 424)
    assert "too large to be kept" in results["b"].json()["error"]["message"]
    assert upstream.lines == ["GET /a"]


def test_PL_11_what_later_answers_pushed_out_is_not_null(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A streamed batch: its last calls are read long after the first has ended."""
    upstream.on("POST", "/a", json_reply({"id": 42}, 201, [("Location", "/a(42)")]))
    upstream.on("GET", "/n", json_reply({"text": "y" * 60_000}))
    calls = [Call("a", "a", "POST", JSON, b"{}")]
    calls += [Call(f"n{n}-{'z' * 800}", "n", depends_on=["a"]) for n in range(1500)]
    calls += [
        Call("danger", "d", "POST", JSON, b"{}", depends_on=["a"], condition="$a/id eq null"),
        Call("link", "$a/x", depends_on=["a"]),
    ]
    results = by_id(run_batch(REST, gateway, calls))
    for name, status in (("danger", 424), ("link", 400)):
        check_error(results[name], status)
        assert "limits.reference_bytes" in results[name].json()["error"]["message"]
    assert upstream.lines.count("POST /a") == 1
    assert "POST /d" not in upstream.lines


# --- ID-13: words of OData


@pytest.mark.parametrize("name", ["search", "count", "value", "index", "top", "filter", "id", "all"])
def test_ID_13_a_word_of_odata_may_be_an_id(
    name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.fallback = lambda _: json_reply({"n": 3})
    calls = [
        Call(name, "a"),
        Call("plain-option", f"b?q=${name}/n", depends_on=[name]),
        Call("expression", f"c?$filter=x%20eq%20${name}/n", depends_on=[name]),
        Call("segment", f"d?$filter=Items/${name}/n", depends_on=[name]),
    ]
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {200}
    lines = ["GET /a", "GET /b?q=3", "GET /c?$filter=x%20eq%203", f"GET /d?$filter=Items/${name}/n"]
    assert sorted(upstream.lines) == lines


@pytest.mark.parametrize("name", ["it", "root", "this"])
def test_ID_13_a_literal_wins_over_an_id(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda _: json_reply({"n": 3})
    calls = [Call(name, "a"), Call("x", f"b?$filter=${name}/n", depends_on=[name])]
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {200}
    assert upstream.lines == ["GET /a", f"GET /b?$filter=${name}/n"]
