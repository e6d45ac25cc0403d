"""Upstreams that take batches, and faults inside a batch: rules BU-01 to BU-08."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from harness import config, rest
from harness.batches import FRONTS, GRPC_BATCH, REST, Call, by_id, check_error, run_batch, statuses
from harness.batching import BatchingUpstream, _json_answer, _json_members
from harness.gateway import Gateway
from harness.grouped import JSON_TYPE, is_json_batch, post, script_customers
from harness.memory import Peak
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


@pytest.fixture(scope="module")
def narrow_groups(_batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """2 MiB an answer."""
    upstreams = {"things": {"url": _batching.origin + "/", "batch": "json"}}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make(upstreams, routes, {"max_response_bytes": 2 << 20})
    with Gateway(settings, tmp_path_factory.mktemp("narrow-groups")) as running:
        yield running


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


def test_BU_06_an_error_is_not_made_a_thousand_times_as_large(
    front: str, narrow_groups: Gateway, things: BatchingUpstream
) -> None:
    """What the members would hold together is bounded by what one answer may: the first of them has the body."""
    large = Reply(503, [("Content-Type", "text/html"), ("Retry-After", "9")], b"<p>" + b"e" * 1_000_000)
    things.batch_answer = lambda _: large
    with Peak(narrow_groups) as peak:
        found = by_id(run_batch(front, narrow_groups, [post(f"p{n}") for n in range(500)]))
    assert len(found) == 500
    for name, result in found.items():
        assert (result.status, result.headers["retry-after"]) == (503, "9")
        if name != "p0":
            assert not result.body
            assert "left out" in result.headers["batchwire-note"]
    assert found["p0"].body == large.body
    assert peak.grown < 60 << 20, f"{peak.grown >> 20} MiB"


def test_BU_06_a_refusal_that_is_too_large_keeps_its_status(
    front: str, narrow_coalesced: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: Reply(429, [("Retry-After", "9")], b"x" * 50_000)
    for result in run_batch(front, narrow_coalesced, [*gets(2), post("a", "g"), post("b", "g")]):
        assert (result.status, result.headers["retry-after"]) == (429, "9")
        assert not result.body
    assert len(things.batches) == 2


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


@pytest.mark.parametrize("status", [401, 413, 429, 503, 500])
def test_BU_07_what_is_said_of_the_rest_is_not_said_of_the_calls(
    status: int, json_batching: Gateway, things: BatchingUpstream
) -> None:
    """They have been run: a 429 or 503 would have their clients send them once more."""
    paged(things, "/$batch?page=2")
    answer = things.fallback
    assert answer is not None
    things.fallback = lambda call: odata_error(status) if call.method == "GET" else answer(call)  # type: ignore[operator]
    found = by_id(run_batch(GRPC_BATCH, json_batching, gets(5), route=COALESCED))
    assert sorted(result.status for result in found.values()) == [200, 200, 200, 502, 502]


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


@pytest.mark.parametrize("front", FRONTS)
def test_BU_08_what_has_been_run_is_not_run_again(
    front: str, narrow_coalesced: Gateway, things: BatchingUpstream
) -> None:
    """The answer is larger than calls that travel together may have; a second DELETE would be 404."""
    large = json_reply({"pad": "p" * 4_000})
    calls = [*gets(5), Call("post", "Made", "POST", JSON_TYPE, b"{}")]
    things.on("POST", "/Made", large)
    for n in range(7):
        things.on("PUT", f"/P({n})", large)
        things.on("DELETE", f"/D({n})", large)
        calls += [Call(f"p{n}", f"P({n})", "PUT", JSON_TYPE, b"{}"), Call(f"d{n}", f"D({n})", "DELETE")]
    found = by_id(run_batch(front, narrow_coalesced, calls))
    check_gets(found, range(5))
    for name in ("post", *(f"{kind}{n}" for kind in "pd" for n in range(7))):
        check_error(found[name], 502)
        assert "larger than allowed" in found[name].json()["error"]["message"]
    written = [line for line in things.lines if not line.startswith("GET")]
    assert len(written) == len(set(written)) == 15


@pytest.fixture(scope="module")
def one_by_one(_batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One connection to `things`, and 20,000 bytes an answer."""
    upstreams = {"things": {"url": _batching.origin + "/", "batch": "json", "coalesce": 20, "max_connections": 1}}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make(upstreams, routes, {"max_response_bytes": 20_000})
    with Gateway(settings, tmp_path_factory.mktemp("one-by-one")) as running:
        yield running


@pytest.mark.parametrize("ending", ["error", "deadline"])
def test_BU_08_a_call_that_was_run_is_never_told_that_it_was_not(
    ending: str, one_by_one: Gateway, things: BatchingUpstream
) -> None:
    """A stop, or the end of the batch's time, meets the second half of its GETs while the first is read again."""
    gate = things.gate()
    seen: list[int] = []

    def answer(call: Received) -> Reply:
        members = _json_members(call.body)
        seen.append(len(members))
        for member in members:
            member.reply = json_reply({"pad": "p" * (4_000 if len(seen) == 1 else 1)})
        if len(seen) == 2 and ending == "error":
            members[0].reply = odata_error(500)
        told = _json_answer(members)
        told.gate = gate if len(seen) == 2 and ending == "deadline" else None
        return told

    things.batch_answer = answer
    options: dict[str, Any] = {"continue_on_error": False} if ending == "error" else {}
    if ending == "deadline":
        options["headers"] = {"x-envoy-expected-rq-timeout-ms": "1500"}
    try:
        found = by_id(run_batch(REST, one_by_one, gets(20), **options))
    finally:
        gate.open()
    assert seen == [20, 10]
    statuses_found = sorted(result.status for result in found.values())
    assert statuses_found == sorted([500, *[200] * 9, *[502] * 10] if ending == "error" else [*[504] * 10, *[502] * 10])
    for result in found.values():
        if result.status == 502:
            assert result.json()["error"]["code"] == "BadUpstreamAnswer"


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


# --- BU-09: members that an error names


def naming(things: BatchingUpstream, names: int) -> None:
    """The group fails, and its error names its first member so many times."""
    details = [{"@Core.ContentID": "1"}] * names
    error = json_reply({"error": {"code": "x", "message": "m", "details": details}}, 409)
    things.on("POST", "/Customers", error)


def test_BU_09_an_error_names_members_as_the_client_does(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    naming(things, 4000)
    found = by_id(run_batch(front, batching_gateway, [post("first"), post("second")]))
    assert found["first"].json()["error"]["details"] == [{"@Core.ContentID": "first"}] * 4000


@pytest.mark.parametrize(("names", "length"), [(5000, 5), (3000, 1000), (100_000, 1000), (20, 1000)])
def test_BU_09_names_that_make_an_error_too_large_leave_it_out(
    names: int, length: int, narrow_groups: Gateway, things: BatchingUpstream
) -> None:
    naming(things, names)
    calls = [post("x" * length), post("other")]
    with Peak(narrow_groups) as peak:
        found = by_id(run_batch(REST, narrow_groups, calls))
    if names == 20:
        assert found["x" * length].json()["error"]["details"][0] == {"@Core.ContentID": "x" * length}
    else:
        assert (found["x" * length].status, found["x" * length].body or b"") == (409, b"")
        assert "left out" in found["x" * length].headers["batchwire-note"]
    assert found["other"].status == 424
    assert peak.grown < 60 << 20, f"{peak.grown >> 20} MiB"


# --- AN-03 within a group


def test_AN_03_a_group_that_was_run_keeps_its_statuses(
    front: str, narrow_coalesced: Gateway, things: BatchingUpstream
) -> None:
    """Its answers are together larger than one may be; one of them is so alone."""
    things.on("POST", "/Large", json_reply({"pad": "p" * 21_000}, 201, headers=[("ETag", '"7"')]))
    things.on("POST", "/Made", json_reply({"pad": "p" * 9_000}, 201))
    calls = [Call(name, url, "POST", JSON_TYPE, b"{}", group="g") for name, url in (("a", "Large"), ("b", "Made"))]
    found = by_id(run_batch(front, narrow_coalesced, calls))
    assert [found[name].status for name in "ab"] == [201, 201]
    assert not found["a"].body
    assert found["a"].headers["etag"] == '"7"'
    assert "left out" in found["a"].headers["batchwire-note"]
    assert found["b"].json() == {"pad": "p" * 9_000}


@pytest.mark.parametrize("extra", [[("Connection", "a," * 500_000)], [("X-Long", "y" * 40_000)]])
def test_AN_03_headers_of_a_member_are_bounded(
    extra: list[tuple[str, str]], front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PUT", "/Put", json_reply({}, headers=[("ETag", '"7"'), *extra, ("X-Short", "1")]))
    calls = [Call("put", "Put", "PUT", JSON_TYPE, b"{}"), *gets(3)]
    found = by_id(run_batch(front, batching_gateway, calls, route=COALESCED))
    check_gets(found, range(3))
    assert (found["put"].status, found["put"].headers["etag"]) == (200, '"7"')
    assert "left out" in found["put"].headers["batchwire-note"]
    assert "x-long" not in found["put"].headers


def test_AN_03_of_many_headers_of_a_member_those_that_mean_something_stay(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    many = [(f"X-{n}", "1") for n in range(200)]
    things.on("PUT", "/Put", json_reply({"a": 1}, headers=[*many, ("ETag", '"7"')]))
    calls = [Call("put", "Put", "PUT", JSON_TYPE, b"{}"), *gets(3)]
    found = by_id(run_batch(front, batching_gateway, calls, route=COALESCED))
    check_gets(found, range(3))
    assert (found["put"].status, found["put"].json(), found["put"].headers["etag"]) == (200, {"a": 1}, '"7"')
    assert "left out" in found["put"].headers["batchwire-note"]
