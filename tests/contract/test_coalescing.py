"""Independent calls that travel together to an upstream that takes batches (`coalesce`): rules GW-04, GW-15, GW-23.

What a client sees must be what it sees when every call travels alone, whatever becomes of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

import pytest
from harness import documents, rest
from harness.batches import (
    FRONTS,
    GRPC_BATCH,
    GRPC_EXECUTE,
    JSON_FRONTS,
    Call,
    Result,
    by_id,
    check_error,
    run_batch,
    statuses,
)
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import JSON_TYPE, patch, post, script_customers
from harness.scripted import Received, Reply, json_reply, odata_error

ROUTE = "/coalesced/"
MANY = 50


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    for n in range(MANY):
        things.on("GET", f"/A({n})", json_reply({"n": n}, headers=[("X-Own", str(n))]))
        things.on("PUT", f"/A({n})", json_reply({"put": n}))
    yield
    assert things.problems == []


def gets(count: int = MANY) -> list[Call]:
    return [Call(f"c{n}", f"A({n})") for n in range(count)]


def check_gets(results: Mapping[str, Result], numbers: Iterable[int]) -> None:
    for n in numbers:
        result = results[f"c{n}"]
        assert (result.status, result.json()) == (200, {"n": n})
        assert result.headers["x-own"] == str(n)


def test_GW_04_fifty_calls_arrive_as_few_batches(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = by_id(run_batch(front, batching_gateway, gets(), route=ROUTE))
    assert len(results) == MANY
    check_gets(results, range(MANY))
    assert sum(things.sizes) + len(things.log) - len(things.batches) == MANY
    assert max(things.sizes) <= 20
    assert len(things.log) <= 5


@pytest.mark.parametrize("front", [GRPC_EXECUTE, JSON_FRONTS[0]])
def test_GW_04_a_batch_that_is_known_whole_is_cut_at_the_limit(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    assert len(run_batch(front, batching_gateway, gets(), route=ROUTE)) == MANY
    # A batch that has worked for a whole turn of the loop goes on in the next one, and sends what it has.
    assert (sum(things.sizes), len(things.sizes)) == (MANY, 3)
    assert max(things.sizes) <= 20


def test_GW_04_one_call_travels_alone(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    check_gets(by_id(run_batch(front, batching_gateway, gets(1), route=ROUTE)), range(1))
    assert things.batches == []


def test_GW_04_calls_with_bodies_and_headers_of_their_own(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [Call(f"p{n}", f"A({n})", "PUT", {**JSON_TYPE, "x-n": str(n)}, rest.encode({"n": n})) for n in range(20)]
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    assert [results[f"p{n}"].json() for n in range(20)] == [{"put": n} for n in range(20)]
    for n in range(20):
        call = things.call(f"PUT /A({n})")
        assert (call.body, call.header("x-n")) == (b'{"n":%d}' % n, str(n))
    assert things.batches


@pytest.mark.parametrize("status", [304, 400, 404, 412, 500, 503])
def test_GW_04_a_failing_call_disturbs_nobody(
    status: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/A(7)", odata_error(status, headers=[("ETag", '"7"')]))
    results = by_id(run_batch(front, batching_gateway, gets(), route=ROUTE))
    assert results["c7"].status == status
    assert results["c7"].headers["etag"] == '"7"'
    check_gets(results, [n for n in range(MANY) if n != 7])


def test_GW_04_calls_the_gateway_refuses_disturb_nobody(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = gets(20)
    calls[3] = Call("c3", "A(3)", "TRACE")
    calls[4] = Call("c4", "../A(4)")
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    check_error(results["c3"], 400)
    check_error(results["c4"], 400)
    check_gets(results, [n for n in range(20) if n not in (3, 4)])


def test_GW_04_a_body_that_cannot_be_said_disturbs_nobody(batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """Broken JSON over gRPC: the call travels alone, and the upstream judges it."""
    things.on("POST", "/Broken", odata_error(400, "BadJson"))
    broken = Call("broken", "Broken", "POST", JSON_TYPE, b'{"a":1}},{"id":"x"')
    results = by_id(run_batch(GRPC_EXECUTE, batching_gateway, [*gets(10), broken], route=ROUTE))
    assert results["broken"].status == 400
    assert results["broken"].json()["error"]["code"] == "BadJson"
    check_gets(results, range(10))
    assert things.call("POST /Broken").body == b'{"a":1}},{"id":"x"'


def test_JB_16_dependencies_hold(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("GET", "/bad", odata_error(500))
    calls = [
        *gets(10),
        Call("bad", "bad"),
        *(Call(f"d{n}", f"A({n})", depends_on=[f"c{n}"]) for n in range(5)),
        *(Call(f"e{n}", "ok", depends_on=["bad"]) for n in range(5)),
    ]
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    check_gets(results, range(10))
    assert [results[f"d{n}"].status for n in range(5)] == [200] * 5
    assert [results[f"e{n}"].status for n in range(5)] == [424] * 5
    assert "GET /ok" not in things.lines
    for n in range(5):
        both = [call for call in things.calls if call.line == f"GET /A({n})"]
        first, second = sorted(both, key=lambda call: call.started)  # those of a batch are noted when it has ended
        assert first.finished is not None
        assert first.finished <= second.started


def test_ID_05_references_are_resolved_before(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("PATCH", "/Customers(7)", Reply(204, expect_headers={"if-match": 'W/"7"'}))
    calls = [
        post("new", group=""),
        *gets(5),
        patch("change", "$new", group="", headers={"if-match": "$new"}),
        Call("again", "$new"),
    ]
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    assert [results[name].status for name in ("new", "change", "again")] == [201, 204, 200]
    assert results["new"].headers["location"].endswith("/coalesced/Customers(7)")
    check_gets(results, range(5))


def test_GW_04_a_group_never_shares_its_batch(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [
        *gets(10),
        post("g1"),
        patch("g2", "Customers(8)"),
        *gets(20)[10:],
        post("h1", group="h"),
        post("h2", group="h"),
    ]
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    check_gets(results, range(20))
    assert [results[name].status for name in ("g1", "g2", "h1", "h2")] == [424, 412, 201, 201]
    assert things.applied == ["POST /Customers", "POST /Customers"]
    assert things.sizes.count(2) >= 2


def breaks_off(_: Received) -> Reply:
    raise ConnectionResetError


BAD = {
    "no-answer": breaks_off,
    "500": lambda _: odata_error(500),
    "html": lambda _: Reply(200, [("Content-Type", "text/html")], b"<html></html>"),
    "no-responses": lambda _: json_reply({"responses": []}),
    "no-parts": lambda _: Reply(200, [("Content-Type", "multipart/mixed; boundary=x")], b"--x--\r\n"),
}


@pytest.mark.parametrize("bad", BAD)
def test_GW_15_a_batch_that_fails_is_502_for_each_of_its_calls(
    bad: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = BAD[bad]
    calls = [*gets(40), Call("after", "ok", depends_on=["c7"])]
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    assert len(results) == 41
    for n in range(40):
        check_error(results[f"c{n}"], 502)
    check_error(results["after"], 424)
    # Two, or more where the gateway has read the calls in several turns of its loop.
    assert {call.path for call in things.log} == {"/$batch"}
    assert 2 <= len(things.log) < 8


def test_GW_15_one_missing_answer_is_502_for_that_call_alone(
    batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    def leaves_out(call: Received) -> Reply:
        if call.header("content-type") == "application/json":
            return json_reply(
                {"responses": [{"id": "2", "status": 200, "body": 2}, {"id": "1", "status": 200, "body": 1}]}
            )
        part = b"Content-Type: application/http\r\nContent-ID: %d\r\n\r\nHTTP/1.1 200 OK\r\n"
        typed = b"Content-Type: application/json\r\nContent-Length: 1\r\n\r\n%d"
        parts = b"".join(b"--x\r\n" + part % n + typed % n + b"\r\n" for n in (2, 1))
        return Reply(200, [("Content-Type", "multipart/mixed; boundary=x")], parts + b"--x--\r\n")

    things.batch_answer = leaves_out
    results = by_id(run_batch(GRPC_EXECUTE, batching_gateway, gets(3), route=ROUTE))
    assert [results["c0"].status, results["c1"].status] == [200, 200]
    assert [results["c0"].json(), results["c1"].json()] == [1, 2]
    check_error(results["c2"], 502)


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_15_a_short_timeout_of_one_call_is_nobody_elses(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_delay = 0.8
    things.on("GET", "/A(3)", json_reply({}, delay=0.8))
    calls = gets(10)
    calls[3].timeout = 0.2
    results = by_id(run_batch(front, batching_gateway, calls, route=ROUTE))
    check_error(results["c3"], 504)
    check_gets(results, [n for n in range(10) if n != 3])


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_15_a_long_timeout_of_one_call_stays_its_own(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = gets(10)
    for call in calls[:5]:
        call.timeout = 20
    check_gets(by_id(run_batch(front, batching_gateway, calls, route=ROUTE)), range(10))


@pytest.mark.parametrize(
    ("version", "prefer", "in_order"),
    [(rest.STRICT, "order=request", True), ({}, "x", True), (rest.STRICT, "x", False)],
    ids=["asked-for", "compatible", "as-they-finish"],
)
def test_GW_23_request_order_holds(
    version: dict[str, str], prefer: str, in_order: bool, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """The batch with the first twenty calls is answered last, and a batch's answers may come in any order (JR-10)."""

    def slow_at_first(call: Received) -> Reply:
        things.batch_delay = 0.3 if int(call.path[3:-1]) < 20 else 0.0
        return json_reply({})

    things.fallback = slow_at_first
    calls = [rest.get_call(f"c{n}", f"F({n})") for n in range(MANY)]
    fields = {"Prefer": prefer}
    answer = rest.post(batching_gateway.http_port, {"requests": calls}, fields, root=ROUTE, version=version)
    found = [response["id"] for response in answer.responses]
    assert sorted(found) == sorted(call["id"] for call in calls)
    assert (found == [call["id"] for call in calls]) is in_order
    assert {response["status"] for response in answer.responses} == {200}


def test_MP_01_calls_of_a_multipart_batch_are_not_put_together(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """They run one after the other, so that each travels alone, in order."""
    found = documents.parts(way, batching_gateway, *gets(10), route=ROUTE)
    assert [part.content_id for part in found] == [f"c{n}" for n in range(10)]
    assert [call.line for call in things.log] == [f"GET /A({n})" for n in range(10)]


def test_CF_01_json_answers_in_multipart(way: str, batching_gateway: Gateway) -> None:
    results = documents.run(way, batching_gateway, "json", "multipart", gets(), route=ROUTE)
    assert sorted(result.id for result in results) == sorted(call.id for call in gets())
    assert {result.status for result in results} == {200}


def test_nothing_of_one_batch_reaches_another(batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """Two clients at once, each with its own language: no batch holds calls of both."""
    answers: dict[str, dict[str, int]] = {}

    def run(language: str) -> None:
        results = run_batch(FRONTS[0], batching_gateway, gets(40), route=ROUTE, headers={"Accept-Language": language})
        answers[language] = statuses(results)

    threads = [threading.Thread(target=run, args=(language,)) for language in ("de", "fr")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {language: set(found.values()) for language, found in answers.items()} == {"de": {200}, "fr": {200}}
    for batch in things.batches:
        languages = {name for name in (b"de", b"fr") if b'"accept-language":"' + name in batch.body.lower()}
        languages |= {name for name in (b"de", b"fr") if b"accept-language: " + name in batch.body.lower()}
        assert len(languages) == 1
