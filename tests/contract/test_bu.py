"""Upstreams that take batches, and faults inside a batch: rules BU-01 to BU-08."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from harness import rest
from harness.batches import FRONTS, GRPC_BATCH, REST, Call, by_id, check_error, run_batch, statuses
from harness.batching import BatchingUpstream, _json_answer, _json_members
from harness.gateway import Gateway
from harness.grouped import JSON_TYPE, is_json_batch, post, script_customers
from harness.scripted import Gate, Received, Reply, json_reply, odata_error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COALESCED = "/coalesced/"
JSON = [("Content-Type", "application/json")]
SYSTEM = ["$metadata", "$metadata?x=1", "$all", "$entity?$id=x", "$crossjoin(a,b)", ""]


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> None:
    script_customers(things)
    for n in range(30):
        things.on("GET", f"/A({n})", json_reply({"n": n}))
        things.on("PUT", f"/A({n})", json_reply({"put": n}))
    for url in SYSTEM:
        things.on("GET", f"/{url}", json_reply({"said": url}))


def gets(count: int) -> list[Call]:
    return [Call(f"c{n}", f"A({n})") for n in range(count)]


def check_gets(found: dict[str, Any], numbers: Iterable[int]) -> None:
    for n in numbers:
        assert (found[f"c{n}"].status, found[f"c{n}"].json()) == (200, {"n": n})


# --- BU-01: no group ends a worker


@pytest.mark.parametrize("url", SYSTEM)
def test_BU_01_a_group_of_system_resources_has_its_results(
    url: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [Call("a", url, group="g"), Call("b", url, group="g"), Call("after", "ok")]
    found = statuses(run_batch(front, batching_gateway, calls))
    # A change set takes no GET (MB-07).
    assert found["a"] == found["b"]
    assert found["a"] in ((200, 501) if url == "" else (200,) if told_json(things) else (501,))
    assert found["after"] == 200


def told_json(things: BatchingUpstream) -> bool:
    return bool(things.batches) and is_json_batch(things)


def test_BU_01_a_group_of_a_reference_and_a_system_resource(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [
        Call("a", "$metadata", group="g"),
        post("b"),
        Call("c", "$b", group="g", depends_on=["b"]),
    ]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert set(found.values()) in ({200, 201}, {501})


# --- BU-02: an answer of another shape


ODD = [
    b"[1,2,3]",
    b"[]",
    b'[{"responses":[]}]',
    b'["a":1]',
    b"[[[1]]]",
    b"[" * 70 + b"]" * 70,
    b"1",
    b'"a"',
    b"{",
    b"[1",
    b"",
]


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("route", ["/svc/", COALESCED])
def test_BU_02_an_answer_that_is_no_object_is_502(
    body: bytes, route: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: Reply(200, JSON, body)
    calls = [post("a"), post("b")] if route == "/svc/" else gets(2)
    for result in run_batch(REST, batching_gateway, calls, route=route):
        check_error(result, 502)


@pytest.mark.parametrize("headers", [b'["x"]', b"[1,[2]]", b"[]", b"7", b'"x"', b'{"a":["x"]}', b'[{"a":"b"}]'])
def test_BU_02_headers_that_are_no_object_are_502_for_that_call(
    headers: bytes, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    body = b'{"responses":[{"id":"1","status":200,"headers":%s},{"id":"2","status":204}]}' % headers
    things.batch_answer = lambda _: Reply(200, JSON, body)
    found = by_id(run_batch(REST, batching_gateway, gets(2), route=COALESCED))
    if not told_json(things):
        return
    check_error(found["c0"], 502)
    assert found["c1"].status == 204


# --- BU-03: what an upstream says cannot break more than the call that needs it


DEEP = b'{"x":' * 5000 + b"1" + b"}" * 5000
LONE = b'{"@odata.etag":"\\ud800","x":"\\ud800"}'


@pytest.mark.parametrize(
    "body", [DEEP, LONE, b"[" * 1000 + b"]" * 1000, b'{"@odata.etag":"a\\u0000b"}', b'{"@etag":7}']
)
def test_BU_03_what_is_deep_or_odd_fails_the_calls_that_need_it(
    body: bytes, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/odd", Reply(200, JSON, body))
    calls = [
        Call("a", "odd"),
        Call("if", "ok", condition="$a/x/x eq 1", depends_on=["a"]),
        Call("match", "ok", headers={"If-Match": "$a"}, depends_on=["a"]),
        Call("value", "ok?x=$a/x/x", depends_on=["a"]),
        *(Call(f"c{n}", f"A({n})") for n in range(5)),
    ]
    found = by_id(run_batch(front, batching_gateway, calls))
    assert len(found) == len(calls)
    check_gets(found, range(5))
    for name in ("if", "match", "value"):
        assert found[name].status in (200, 400, 424), found[name]
    assert found["match"].status in (400, 424)


# --- BU-06: what is said of the batch as a whole


@pytest.mark.parametrize("status", [401, 403, 413, 423, 429, 451, 503, 507])
def test_BU_06_what_is_said_of_the_whole_batch_is_said_to_its_members(
    status: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: odata_error(status, "Whole", "of all", headers=[("Retry-After", "9")])
    found = by_id(run_batch(front, batching_gateway, [post("a"), post("b"), Call("other", "Customers(7)")]))
    for name in ("a", "b"):
        assert found[name].status == status
        assert found[name].json() == {"error": {"code": "Whole", "message": "of all"}}
        assert found[name].headers["retry-after"] == "9"
    assert found["other"].status == 200
    assert len(things.batches) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 500])
@pytest.mark.parametrize(("message", "told"), [("no", ": no"), ("x" * 101, ": " + "x" * 100), ("", ""), (7, "")])
def test_BU_06_what_is_said_of_the_request_is_quoted(
    status: int, message: Any, told: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: json_reply({"error": {"code": "X", "message": message}}, status)
    for result in run_batch(REST, batching_gateway, [post("a"), post("b")]):
        assert result.status == 502
        assert result.json()["error"]["message"] == f"the upstream answered the batch with status {status}{told}"


# --- BU-07: an answer that goes on elsewhere


def paged(
    things: BatchingUpstream, link: str, name: str = "@nextLink", size: int = 3, gate: Gate | None = None
) -> list[str]:
    """Answers batches in pages of `size` responses, the later ones behind the gate; what pages were asked for."""
    kept: list[dict[str, Any]] = []
    asked: list[str] = []

    def page(call: Received) -> Reply:
        asked.append(call.path)
        if call.method == "POST":
            members = _json_members(call.body)
            for member in members:
                member.reply = json_reply({"n": int(re.findall(r"\d+", member.url)[0])})
            kept[:] = json.loads(_json_answer(members).body)["responses"]
        told = {"responses": kept[:size]}
        del kept[:size]
        if kept:
            told[name] = link.replace("ORIGIN", things.origin)  # type: ignore[assignment]
        return json_reply(told, gate=None if call.method == "POST" else gate)

    things.batch_answer = page
    things.fallback = lambda call: page(call) if "$batch" in call.path else odata_error(404)
    return asked


@pytest.mark.parametrize("name", ["@nextLink", "@odata.nextLink"])
@pytest.mark.parametrize("link", ["ORIGIN/$batch?page=2", "/$batch?page=2", "$batch?page=2"])
def test_BU_07_a_next_link_is_followed(
    name: str, link: str, front: str, json_batching: Gateway, things: BatchingUpstream
) -> None:
    asked = paged(things, link, name)
    found = by_id(run_batch(front, json_batching, gets(10), route=COALESCED))
    check_gets(found, range(10))
    assert "/$batch?page=2" in asked
    assert len(found) == 10


def test_BU_07_the_rest_of_an_answer_is_fetched_whatever_stops_the_batch(
    json_batching: Gateway, things: BatchingUpstream
) -> None:
    """Its calls have been run: what another call does cannot stop them any more."""
    gate = things.gate()
    asked = paged(things, "/$batch?page=2", gate=gate)
    things.on("POST", "/bad", odata_error(500))
    calls = [*gets(5), Call("bad", "bad", "POST", {"Content-Type": "text/plain"}, b"x")]
    timer = threading.Timer(0.5, gate.open)
    timer.start()
    found = by_id(run_batch(GRPC_BATCH, json_batching, calls, route=COALESCED, continue_on_error=False))
    timer.join()
    check_gets(found, range(5))
    assert found["bad"].status == 500
    assert asked == ["/$batch", "/$batch?page=2"]


def test_BU_07_what_came_before_the_rest_stands_at_the_deadline(
    json_batching: Gateway, things: BatchingUpstream
) -> None:
    gate = things.gate()
    paged(things, "/$batch?page=2", gate=gate)
    try:
        in_time = {"x-envoy-expected-rq-timeout-ms": "1500"}
        found = by_id(run_batch(REST, json_batching, gets(5), route=COALESCED, headers=in_time))
    finally:
        gate.open()
    assert sorted(result.status for result in found.values()) == [200, 200, 200, 504, 504]
    check_gets(found, [n for n in range(5) if found[f"c{n}"].status == 200])


@pytest.mark.parametrize(
    "link", ["http://other.example/$batch", "//other.example/x", "/../x", "a b", "x\r\ny: z", "ORIGIN.example/x", ""]
)
def test_BU_07_a_link_that_leads_elsewhere_is_not_followed(
    link: str, json_batching: Gateway, things: BatchingUpstream
) -> None:
    asked = paged(things, link)
    found = by_id(run_batch(GRPC_BATCH, json_batching, gets(10), route=COALESCED))
    assert len(found) == 10
    assert {result.status for result in found.values()} <= {200, 502}
    assert set(asked) <= {"/$batch"}


def test_BU_07_an_answer_that_goes_on_for_ever_ends(json_batching: Gateway, things: BatchingUpstream) -> None:
    asked = []

    def again(call: Received) -> Reply:
        asked.append(call.path)
        return json_reply({"responses": [{"id": "1", "status": 204}], "@nextLink": "/$batch?again"})

    things.batch_answer = again
    things.fallback = lambda call: again(call) if "$batch" in call.path else odata_error(404)
    found = by_id(run_batch(GRPC_BATCH, json_batching, gets(10), route=COALESCED))
    assert len(found) == 10
    assert len(asked) <= 2 * 10


# --- BU-08: calls that travel together


def limited(things: BatchingUpstream, most: int) -> None:
    """Batches of more than `most` calls are 413."""

    def answer(call: Received) -> Reply:
        things.batch_answer = None
        try:
            count = call.body.count(b'"method"') or call.body.count(b"Content-ID")
            return odata_error(413, "TooLarge") if count > most else things._reply(call)
        finally:
            things.batch_answer = answer

    things.batch_answer = answer


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7])
def test_BU_08_a_batch_that_is_too_large_is_split(
    most: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Customers", Reply(204))
    limited(things, most)
    calls = [*gets(15), *(Call(f"p{n}", "Customers", "POST", JSON_TYPE, b"{}") for n in range(5))]
    found = by_id(run_batch(front, batching_gateway, calls, route=COALESCED))
    check_gets(found, range(15))
    assert [found[f"p{n}"].status for n in range(5)] == [204] * 5
    assert things.lines.count("POST /Customers") == 5
    assert things.problems == []


@pytest.mark.parametrize("bad", [b'"\\ud800"', b'"a\x01b"', b'{"a":01}', b"nope", b'"\\x"', b"[" * 2000 + b"]" * 2000])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_BU_08_one_bad_answer_costs_one_call(
    bad: bytes, place: int, json_batching: Gateway, things: BatchingUpstream
) -> None:
    def answer(call: Received) -> Reply:
        told = []
        for member in _json_members(call.body):
            n = int(re.findall(r"\d+", member.url)[0])
            body = bad if n == place else b'{"n":%d}' % n
            told.append(b'{"id":"%s","status":200,"body":%s}' % (member.id.encode(), body))
        return Reply(200, JSON, b'{"responses":[' + b",".join(told) + b"]}")

    things.batch_answer = answer
    things.fallback = None
    things.on("GET", f"/A({place})", Reply(200, JSON, bad))
    found = by_id(run_batch(GRPC_BATCH, json_batching, gets(10), route=COALESCED))
    check_gets(found, [n for n in range(10) if n != place])
    assert len(found) == 10


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=40), place=st.integers(0, 4))
def test_BU_08_whatever_an_answer_is_every_call_has_one_result(
    junk: bytes, place: int, json_batching: Gateway, things: BatchingUpstream
) -> None:
    pieces = [b'{"id":"%d","status":200,"body":{"n":%d}}' % (n + 1, n) for n in range(5)]
    pieces[place] = junk
    things.batch_answer = lambda _: Reply(200, JSON, b'{"responses":[' + b",".join(pieces) + b"]}")
    found = run_batch(GRPC_BATCH, json_batching, gets(5), route=COALESCED)
    assert sorted(result.id for result in found) == [f"c{n}" for n in range(5)]


@pytest.mark.parametrize("front", FRONTS)
def test_BU_08_an_answer_that_is_too_large_costs_that_call(
    front: str, narrow_coalesced: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/A(3)", json_reply({"pad": "p" * 60_000}))
    things.on("POST", "/Customers", Reply(204))
    calls = [*gets(10), *(Call(f"p{n}", "Customers", "POST", JSON_TYPE, b"{}") for n in range(3))]
    found = by_id(run_batch(front, narrow_coalesced, calls))
    check_error(found["c3"], 502)
    check_gets(found, [n for n in range(10) if n != 3])
    assert things.lines.count("POST /Customers") <= 3


def test_BU_08_an_answer_somewhat_too_large_costs_no_other(narrow_coalesced: Gateway, things: BatchingUpstream) -> None:
    """It fits what a batch may be answered, and so nothing has to be sent again."""
    things.on("POST", "/Customers", json_reply({"pad": "p" * 20_500}))
    things.on("POST", "/Made", Reply(204))
    calls = [Call("big", "Customers", "POST", JSON_TYPE, b"{}")]
    calls += [Call(f"p{n}", "Made", "POST", JSON_TYPE, b"{}") for n in range(4)]
    found = by_id(run_batch(REST, narrow_coalesced, calls))
    assert (found["big"].status, found["big"].body or b"") == (200, b"")  # AN-03
    assert [found[f"p{n}"].status for n in range(4)] == [204] * 4
    assert things.lines.count("POST /Made") == 4


@pytest.mark.parametrize("form", [{}, {"Prefer": "order=request"}])
def test_BU_08_calls_that_cannot_be_said_hold_nobody_up(
    form: dict[str, str], json_batching: Gateway, things: BatchingUpstream
) -> None:
    """Broken bodies in a protobuf batch travel alone, and the others together."""
    things.on("PUT", "/Broken", odata_error(400, "BadJson"))
    calls = []
    for n in range(25):
        calls.append(Call(f"c{n}", f"A({n})"))
        calls.append(Call(f"b{n}", "Broken", "PUT", JSON_TYPE, b'{"a":1'))
    found = by_id(run_batch(GRPC_BATCH, json_batching, calls, route=COALESCED))
    check_gets(found, range(25))
    assert {found[f"b{n}"].status for n in range(25)} == {400}
    assert rest.is_odata_error(found["b0"].json())
    # 25 alone; the others in a few batches.
    assert len(things.batches) <= 25
