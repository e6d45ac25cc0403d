"""Transactions, and what multipart answers look like: rules MP-04 and MP-11 to MP-15 of the contract."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from harness import documents, rest
from harness.batches import Call, to_json_member
from harness.batching import BatchingUpstream
from harness.documents import parts, read, run, send
from harness.gateway import Gateway
from harness.multiparts import Part, document_of
from harness.part_checks import ON, check_error
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

JSON = {"Content-Type": "application/json"}


def posting(name: str, url: str) -> Call:
    return Call(name, url, "POST", JSON, b"{}")


def as_parts(way: str, gateway: Gateway, calls: list[Call]) -> list[Part]:
    """A JSON batch whose answer is multipart."""
    body = rest.encode({"requests": [to_json_member(call) for call in calls]})
    return read(send(way, gateway, body, documents.JSON, {"Accept": "multipart/mixed"}))


def test_MP_04_all_of_a_change_set_or_nothing(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("POST", "/A", Reply(204))
    things.on("POST", "/B", Reply(204))
    things.on("POST", "/bad", odata_error(422))
    good, bad = [posting("1", "A"), posting("2", "B")], [posting("3", "A"), posting("4", "bad"), posting("5", "B")]
    found = parts(way, batching_gateway, good, bad, headers=ON)
    assert [one.members is None for one in found] == [False, True]
    assert things.applied == ["POST /A", "POST /B"]
    assert things.problems == []


def test_MP_04_not_over_two_upstreams(
    way: str, batching_gateway: Gateway, things: BatchingUpstream, batching_orders: BatchingUpstream
) -> None:
    [found] = parts(way, batching_gateway, [posting("1", "A"), posting("2", "orders/B")])
    check_error(found, 501)
    assert things.lines == batching_orders.lines == []


def test_MP_04_not_where_the_upstream_has_no_transactions(
    way: str, batching_gateway: Gateway, orders: ScriptedUpstream
) -> None:
    [found] = parts(way, batching_gateway, [posting("1", "plain/A"), posting("2", "plain/B")])
    check_error(found, 501)
    assert orders.lines == []


@pytest.mark.parametrize("prefer", ["respond-async", "odata.respond-async, wait=0", "respond-async, wait=1"])
def test_MP_11_no_interim_answers(prefer: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The gateway runs no batch asynchronously: every answer is whole, and no part of its making is a 202."""
    upstream.on("GET", "/slow", json_reply({}, delay=0.3))
    upstream.on("POST", "/A", Reply(204))
    changing = Call("2", "A", "POST", {**JSON, "Prefer": "odata.Respond-Async; x=1, return=minimal"}, b"{}")
    items = [Call("1", "slow", headers={"Prefer": "respond-async"}), [changing], Call("3", "slow")]
    answer = send(way, gateway, document_of(items), headers={"Prefer": prefer})
    found = read(answer)
    assert answer.status == 200
    assert [one.status for one in found if one.members is None] == [200, 200]
    assert found[1].members is not None
    assert found[1].members[0].status == 204
    assert "respond-async" not in (answer.header("preference-applied") or "")
    assert not any("respond-async" in (call.header("prefer") or "") for call in upstream.log), "AS-09, AS-10"
    assert upstream.call("POST /A").header("prefer") == "return=minimal"


def test_MP_11_nor_in_an_answer_to_json_or_in_a_group(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(204))
    things.on("GET", "/ok")
    waiting = {**JSON, "Prefer": 'x="a, respond-async", respond-async'}
    grouped = [Call(name, "A", "POST", waiting, b"{}", group="g") for name in ("1", "2")]
    alone = Call("3", "ok", headers={"Prefer": "respond-async"})
    found = as_parts(way, batching_gateway, [*grouped, alone])
    assert [one.status for one in found] == [204, 204, 200]
    assert [call.header("prefer") for call in things.calls] == [None, *['x="a, respond-async"'] * 2]
    things.reset()
    things.on("POST", "/A", Reply(204))
    run(way, batching_gateway, "json", "json", [grouped])
    assert [call.header("prefer") for call in things.calls] == ['x="a, respond-async"'] * 2


def test_MP_12_a_part_for_each_request_of_a_json_batch(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(204))
    things.on("POST", "/bad", odata_error(409))
    things.on("GET", "/ok")
    calls = [
        Call("1", "A", "POST", JSON, b"{}", group="g"),
        Call("2", "A", "POST", JSON, b"{}", group="g"),
        Call("3", "ok", depends_on=["g"]),
        Call("4", "A", "POST", JSON, b"{}", group="h"),
        Call("5", "bad", "POST", JSON, b"{}", group="h"),
        Call("6", "ok", depends_on=["h"]),
        Call("7", "ok", "TRACE"),
    ]
    found = as_parts(way, batching_gateway, calls)
    assert all(one.members is None for one in found)
    statuses = {one.content_id: one.status for one in found}
    assert statuses == {"1": 204, "2": 204, "3": 200, "4": 424, "5": 409, "6": 424, "7": 400}
    for one in found:
        if one.status >= 400:
            check_error(one, one.status)


def test_MP_12_none_for_no_request(way: str, gateway: Gateway) -> None:
    assert as_parts(way, gateway, []) == []


def test_MP_13_each_has_the_id_of_its_request(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({"n": 1}, delay=0.3))
    upstream.on("GET", "/fast", json_reply({"n": 2}))
    names = ["a", "A", "0.0", "z~_-"]
    calls = [Call(name, "slow" if n % 2 == 0 else "fast") for n, name in enumerate(names)]
    found = as_parts(way, gateway, calls)
    assert sorted((one.content_id or "", one.json()["n"]) for one in found) == sorted(
        zip(names, [1, 2, 1, 2], strict=True)
    )


@pytest.mark.parametrize("in_sets", [False, True])
def test_MP_14_no_reference_in_the_urls_of_answers(
    in_sets: bool, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)")]))
    upstream.on("POST", "/C(7)/Orders", json_reply({}, 201, [("Location", "Orders(5)")]))
    calls = [posting("1", "C"), posting("2", "$1/Orders")]
    found = parts(way, gateway, *([[call] for call in calls] if in_sets else calls))
    last = found[1].members[0] if found[1].members is not None else found[1]
    location = last.header("location") or ""
    assert last.status == 201
    assert "$1" not in location
    assert urljoin("http://gw.example/svc/C(7)/Orders", location) == "http://gw.example/svc/C(7)/Orders(5)"


def test_MP_14_within_one_change_set(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """As json-35, where the upstream resolves the reference itself and answers with a relative Location."""
    things.on("POST", "/C", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)")]))
    things.on("POST", "/C(7)/Orders", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)/Orders(5)")]))
    [found] = parts(way, batching_gateway, [posting("new", "C"), posting("2", "$new/Orders")])
    assert found.members is not None, things.problems
    locations = [one.header("location") for one in found.members]
    assert locations == ["http://gw.example/svc/C(7)", "http://gw.example/svc/C(7)/Orders(5)"]


@pytest.mark.parametrize(("status", "reason"), [(204, b"No Content"), (304, b"Not Modified")])
def test_MP_15_a_part_without_a_body(
    status: int, reason: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(status, [("ETag", '"1"')]))
    answer = send(way, gateway, document_of([Call("1", "A"), Call("2", "A")]))
    boundary = (answer.header("content-type") or "").partition("boundary=")[2].encode()
    for text in answer.body.split(b"--" + boundary)[1:-1]:
        _, line, rest_of_it = text.partition(b"HTTP/1.1 %d %b\r\n" % (status, reason))
        assert line, text
        head, blank, body = rest_of_it.partition(b"\r\n\r\n")
        assert b'ETag: "1"' in head
        assert blank, "a blank line ends the headers"
        assert body == b"\r\n", "and the line end of the delimiter follows at once"
