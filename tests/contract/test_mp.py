"""How a multipart batch is processed and how its answer is built: rules MP-01 to MP-03 and MP-05 to MP-10."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import Call
from harness.batching import BatchingUpstream
from harness.documents import GRPC, parts, run, send
from harness.gateway import Gateway
from harness.multiparts import Part, document_of, part
from harness.part_checks import ON, check_error
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

JSON = {"Content-Type": "application/json"}
TEXT = part(b"GET ok HTTP/1.1\r\n\r\n", b"Content-Type: text/plain\r\n")


def posting(name: str, url: str) -> Call:
    return Call(name, url, "POST", JSON, b"{}")


def statuses(found: list[Part]) -> list[int | list[int]]:
    """The status of each part; of a nested answer, a list."""
    return [one.status if one.members is None else [member.status for member in one.members] for one in found]


def check_one_after_the_other(upstream: ScriptedUpstream, lines: list[str]) -> None:
    assert [call.line for call in upstream.log] == lines
    for before, after in zip(upstream.log, upstream.log[1:], strict=False):
        assert before.finished is not None
        assert before.finished <= after.started
    assert upstream.peak == 1


@pytest.mark.parametrize("answer", ["multipart", "json"])
@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
def test_MP_01_in_the_order_received(
    answer: str, route: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", json_reply({}, delay=0.2))
    upstream.on("POST", "/B", Reply(204, delay=0.1))
    upstream.on("GET", "/C")
    upstream.on("POST", "/D", Reply(204))
    items = [Call("a", "A"), [posting("b", "B")], Call("c", "C"), posting("d", "D")]
    results = run(way, gateway, "multipart", answer, items, route=route)
    assert [(result.id, result.status) for result in results] == [("a", 200), ("b", 204), ("c", 200), ("d", 204)]
    check_one_after_the_other(upstream, ["GET /A", "POST /B", "GET /C", "POST /D"])


def test_MP_01_a_change_set_counts_as_one(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("GET", "/A", json_reply({}, delay=0.2))
    things.on("POST", "/B", Reply(204))
    things.on("GET", "/C")
    things.batch_delay = 0.2
    items = [Call("1", "A"), [posting("2", "B"), posting("3", "B")], Call("4", "C")]
    assert statuses(parts(way, batching_gateway, *items)) == [200, [204, 204], 200]
    check_one_after_the_other(things, ["GET /A", "POST /$batch", "GET /C"])


@pytest.mark.parametrize("prefer", [None, "continue-on-error=false", "odata.continue-on-error=FALSE"])
@pytest.mark.parametrize("status", [400, 404, 412, 500, 503])
def test_MP_02_stops_at_the_first_error(
    status: int, prefer: str | None, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok")
    upstream.on("GET", "/bad", odata_error(status))
    found = parts(way, gateway, Call("1", "ok"), Call("2", "bad"), Call("3", "ok"), headers=prefer_of(prefer))
    assert statuses(found) == [200, status]
    assert upstream.lines == ["GET /ok", "GET /bad"]


def prefer_of(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Prefer": value}


@pytest.mark.parametrize("prefer", ["continue-on-error", "odata.continue-on-error=true", 'x, Continue-On-Error="True"'])
def test_MP_02_goes_on_where_asked(prefer: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    upstream.on("GET", "/bad", odata_error(500))
    items = [Call("1", "bad"), TEXT, [posting("2", "bad")], Call("3", "ok")]
    found = parts(way, gateway, *items, headers={"Prefer": prefer})
    assert statuses(found) == [500, 400, 404, 200]
    assert upstream.lines == ["GET /bad", "POST /bad", "GET /ok"]


@pytest.mark.parametrize(("status", "more"), [(304, {}), (204, {}), (302, {"Location": "http://gw.example/svc/B"})])
def test_MP_02_what_is_below_400_is_no_error(
    status: int, more: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(status, list(more.items())))
    upstream.on("GET", "/ok")
    assert statuses(parts(way, gateway, Call("1", "A"), Call("2", "ok"))) == [status, 200]


@pytest.mark.parametrize(
    "bad",
    [
        TEXT,
        part(b"TRACE ok HTTP/1.1\r\n\r\n"),
        part(b"GET ../out HTTP/1.1\r\n\r\n"),
        [posting("2", "missing")],
        [Call("2", "ok")],
        [posting("2", "ok"), posting("3", "ok")],
    ],
)
def test_MP_02_the_gateway_s_own_errors_and_failed_change_sets_count(
    bad: bytes | list[Call], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok")
    found = parts(way, gateway, Call("1", "ok"), bad, Call("9", "ok"))
    assert len(found) == 2
    check_error(found[1], 400, 404, 501)
    assert upstream.lines.count("GET /ok") == 1


def test_MP_02_an_upstream_that_is_not_there_counts(way: str, gateway: Gateway) -> None:
    found = parts(way, gateway, Call("1", "A"), Call("2", "B"), route="/dead/")
    assert statuses(found) == [502]


def test_MP_03_references_impose_an_order_in_a_change_set(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Customers", json_reply({"ID": 7}, 201, [("Location", "http://gw.example/svc/Customers(7)")]))
    things.on("POST", "/Customers(7)/Orders", json_reply({"ID": 5}, 201))
    things.on("PATCH", "/Customers(7)", Reply(204))
    change = [
        posting("new", "Customers"),
        posting("2", "$new/Orders"),
        Call("3", "$new", "PATCH", JSON, b"{}"),
    ]
    [found] = parts(way, batching_gateway, change)
    assert found.members is not None, things.problems
    assert {one.content_id: one.status for one in found.members} == {"new": 201, "2": 201, "3": 204}
    assert things.lines[0] == "POST /Customers"
    assert set(things.lines[1:]) == {"POST /Customers(7)/Orders", "PATCH /Customers(7)"}
    assert things.problems == []


def test_MP_05_the_answer_has_the_structure_of_the_request(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/A")
    things.on("POST", "/B", Reply(204))
    items = [
        Call("", "A"),
        [posting("1", "B")],
        [posting("2", "B"), posting("3", "B")],
        posting("4", "B"),
        [posting("5", "B"), posting("6", "B")],
        Call("7", "A"),
    ]
    answer = send(way, batching_gateway, document_of(items))
    found = parts(way, batching_gateway, *items)
    assert statuses(found) == [200, [204], [204, 204], 204, [204, 204], 200]
    sets = [[member.content_id for member in one.members] for one in found if one.members is not None]
    assert sets == [["1"], ["2", "3"], ["5", "6"]]
    boundaries = [
        line.split(b"boundary=")[1]
        for line in answer.body.split(b"\r\n")
        if line.startswith(b"Content-Type: multipart")
    ]
    assert len(set(boundaries)) == 3
    assert (answer.header("content-type") or "").split("boundary=")[1].encode() not in boundaries


def test_MP_06_an_id_is_answered_everywhere(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    upstream.on("POST", "/ok", Reply(204))
    upstream.on("GET", "/own", json_reply({}, headers=[("Content-ID", "theirs")]))
    bad = part(b"TRACE ok HTTP/1.1\r\n\r\n", b"Content-Type: application/http\r\nContent-ID: bad\r\n")
    items = [
        Call("a.1~_-", "ok"),
        Call("", "ok"),
        [posting("b", "ok")],
        Call("c", "missing"),
        bad,
        [posting("d", "missing")],
        Call("e", "own"),
    ]
    found = parts(way, gateway, *items, headers=ON)
    ids = [one.content_id if one.members is None else one.members[0].content_id for one in found]
    assert ids == ["a.1~_-", None, "b", "c", "bad", "d", "e"]


def test_MP_07_the_type_of_the_answer(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    answers = [send(way, gateway, document_of([Call("1", "ok")])) for _ in range(2)]
    types = [answer.header("content-type") or "" for answer in answers]
    assert all(kind.startswith("multipart/mixed; boundary=batchresponse_") for kind in types)
    assert types[0] != types[1], "section 2.3: a fresh boundary for each answer"


def test_MP_08_a_failed_change_set_is_one_part(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("POST", "/A", json_reply({"ID": 1}, 201))
    things.on("POST", "/bad", odata_error(409, "Conflict", "it is there"))
    things.on("GET", "/C")
    for place in range(3):
        members = [posting("1", "A"), posting("2", "A")]
        members.insert(place, posting("3", "bad"))
        found = parts(way, batching_gateway, members, Call("4", "C"), headers=ON)
        assert statuses(found) == [409, 200]
        check_error(found[0], 409)
        assert dict(found[0].fields)["Content-Type"] == "application/http"
        assert found[0].json()["error"]["code"] == "Conflict"
        assert things.applied == []
    assert things.problems == []


@pytest.mark.parametrize("size", [2, 3])
def test_MP_08_one_that_no_upstream_can_run_too(
    size: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/ok")
    members = [posting(str(number), "A") for number in range(size)]
    found = parts(way, gateway, members, Call("9", "ok"), headers=ON)
    assert statuses(found) == [501, 200]
    check_error(found[0], 501)
    assert upstream.lines == ["GET /ok"]


def test_MP_08_one_with_a_member_that_is_refused(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("POST", "/A", Reply(204))
    for bad in (Call("2", "A", "TRACE"), posting("2", "../out"), posting("2", "$9/x")):
        for members in ([posting("1", "A"), bad], [bad, posting("1", "A")]):
            found = parts(way, batching_gateway, members, headers=ON)
            assert len(found) == 1
            check_error(found[0], 400)
    assert things.lines == []


@pytest.mark.parametrize("answer", ["multipart", "json"])
def test_MP_09_the_error_is_the_last(answer: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    items = [Call("1", "ok"), Call("2", "missing"), Call("3", "ok"), [posting("4", "ok")], Call("5", "../out")]
    results = run(way, gateway, "multipart", answer, items, {"Prefer": "continue-on-error=false"})
    assert [(result.id, result.status) for result in results] == [("1", 200), ("2", 404)]
    assert upstream.lines == ["GET /ok", "GET /missing"]


@pytest.mark.parametrize("late", ["call", "change set"])
@pytest.mark.parametrize("goes_on", [False, True])
def test_MP_09_a_deadline_stops_it_too(
    late: str, goes_on: bool, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/ok")
    things.on("POST", "/A", Reply(204))
    things.on("GET", "/slow", json_reply({}, delay=5))
    things.batch_delay = 5
    change = [posting("3", "A"), posting("4", "A")]
    slow: Call | list[Call] = Call("2", "slow") if late == "call" else [posting("5", "A"), posting("6", "A")]
    items = [Call("1", "ok"), slow, Call("7", "ok"), change, Call("8", "ok")]
    found = parts(GRPC, batching_gateway, *items, headers=ON if goes_on else {}, timeout=1.0)
    assert statuses(found) == [200, *[504] * (4 if goes_on else 1)]
    check_error(found[1], 504)
    assert things.lines.count("GET /ok") == 1


@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
def test_MP_09_parts_that_follow_are_read_all_the_same(
    route: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """A long rest may not block the connection: the answer ends, and the next batch finds the gateway ready."""
    items = [Call("", "missing"), *[Call("", "ok")] * 3000]
    assert statuses(parts(way, gateway, *items, route=route)) == [404]
    assert upstream.lines == ["GET /missing"]


def test_MP_10_answers_are_as_outside_of_a_batch(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = [
        ("Content-Type", "application/octet-stream"),
        ("ETag", 'W/"1"'),
        ("OData-Version", "4.0"),
        ("X-Own", "a"),
        ("X-Own", "b"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
    ]
    body = b"\r\n--b--\r\n\x00\xff\r\n"
    upstream.on("GET", "/A", Reply(203, fields, body, chunked=True))
    [found] = parts(way, gateway, Call("1", "A"))
    assert found.line == "HTTP/1.1 203 Non-Authoritative Information"
    assert found.header("content-type") == "application/octet-stream"
    assert found.header("etag") == 'W/"1"'
    assert found.header("odata-version") == "4.0"
    assert found.header("x-own") == "a, b"
    assert found.header("content-length") == str(len(body))
    assert found.body == body
    names = {name.lower() for name, _ in found.headers}
    assert not names & {"transfer-encoding", "connection", "keep-alive", "x-hop", "set-cookie"}


@pytest.mark.parametrize("status", [200, 201, 299, 302, 404, 418, 500, 599])
def test_MP_10_every_status_passes(status: int, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"a": "ä"}, status))
    [found] = parts(way, gateway, Call("1", "A"))
    assert (found.status, found.json()) == (status, {"a": "ä"})
    assert found.reason.strip()


def test_MP_10_errors_of_the_gateway_are_odata_errors(way: str, gateway: Gateway) -> None:
    [found] = parts(way, gateway, Call("1", "A"), route="/dead/")
    check_error(found, 502)
    assert rest.is_odata_error(found.json())
    assert (found.header("content-type") or "").startswith("application/json")
