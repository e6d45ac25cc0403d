"""Change sets over upstreams with transactions: rules MP-01 to MP-09, MB-07, JR-04, GW-04 and GW-19.

Over REST and gRPC, before upstreams of both forms. How a change set looks as bytes is tested elsewhere; here: what
runs, in which order, and what the answer says of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness import documents, multiparts, rest
from harness.batches import Call, Refused
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, failing, is_json_batch, patch, post, script_customers
from harness.multiparts import Part
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

GO_ON = {"Prefer": "continue-on-error"}


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream, batching_orders: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    yield
    assert [things.problems, batching_orders.problems] == [[], []]


def three(prefix: str = "") -> list[Call]:
    return [post(f"{prefix}new"), patch(f"{prefix}change", "Customers(7)"), delete(f"{prefix}gone", "Customers(3)")]


def by_content_id(part: Part) -> dict[str | None, int]:
    assert part.members is not None
    return {member.content_id: member.status for member in part.members}


def check_failed(part: Part, status: int, content_id: str) -> None:
    """MP-08: one application/http part with an OData error that speaks for the whole set."""
    assert part.members is None
    assert part.status == status
    assert rest.is_odata_error(part.json())
    assert part.content_id == content_id


def test_MP_04_a_change_set_is_one_transaction(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    [part] = documents.parts(way, batching_gateway, three())
    assert by_content_id(part) == {"new": 201, "change": 204, "gone": 204}
    assert things.sizes == [3]
    assert things.applied == ["POST /Customers", "PATCH /Customers(7)", "DELETE /Customers(3)"]
    assert [call.line for call in things.log] == ["POST /$batch"]


def test_MP_04_a_change_set_of_one_is_answered_as_a_change_set(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    [part] = documents.parts(way, batching_gateway, [post("1")])
    assert by_content_id(part) == {"1": 201}
    assert [call.line for call in things.log] == ["POST /Customers"]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_MP_08_a_failed_change_set_is_one_part(
    bad: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    [part] = documents.parts(way, batching_gateway, failing(bad))
    check_failed(part, 412, f"m{bad}")
    assert part.json()["error"]["code"] == "Changed"
    assert things.applied == []


def test_MP_08_a_failed_change_set_of_one_is_one_plain_part(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    [part] = documents.parts(way, batching_gateway, failing(0, 1))
    check_failed(part, 412, "m0")


@pytest.mark.parametrize("status", [400, 401, 409, 428, 500, 503])
def test_MP_08_whatever_the_failure_is(
    status: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PATCH", "/Customers(8)", odata_error(status, headers=[("Retry-After", "7")]))
    [part] = documents.parts(way, batching_gateway, failing(1))
    check_failed(part, status, "m1")
    assert part.header("retry-after") == "7"


def test_MP_02_nothing_runs_after_a_failed_change_set(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """MP-09: its error is the last part."""
    items: list[Call | list[Call]] = [Call("a", "ok"), failing(1), three("x"), Call("b", "Customers(7)")]
    first, last = documents.parts(way, batching_gateway, *items)
    assert first.status == 200
    check_failed(last, 412, "m1")
    assert len(things.batches) == 1
    assert things.applied == []
    assert "GET /Customers(7)" not in things.lines


def test_MP_02_a_change_set_behind_a_failed_call_does_not_run(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    [part] = documents.parts(way, batching_gateway, Call("a", "Missing"), three(), Call("b", "ok"))
    assert part.status == 404
    assert things.lines == ["GET /Missing"]


def test_MP_02_with_continue_on_error_the_rest_runs(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    items: list[Call | list[Call]] = [failing(0), three("x"), Call("b", "ok"), failing(2, prefix="n"), three("y")]
    found = documents.parts(way, batching_gateway, *items, headers=GO_ON)
    check_failed(found[0], 412, "m0")
    assert by_content_id(found[1]) == {"xnew": 201, "xchange": 204, "xgone": 204}
    assert found[2].status == 200
    check_failed(found[3], 412, "n2")
    assert by_content_id(found[4]) == {"ynew": 201, "ychange": 204, "ygone": 204}
    assert things.sizes == [3, 3, 3, 3]
    assert len(things.applied) == 6


def test_MP_02_ids_of_sets_that_went_on_may_not_meet(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """MB-05: unique in the whole batch."""
    with pytest.raises(Refused) as caught:
        documents.parts(way, batching_gateway, three(), three())
    assert caught.value.bad_envelope
    assert things.lines == []


def test_MP_01_items_run_one_after_the_other(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.batch_delay = 0.1
    things.on("GET", "/slow", json_reply({}, delay=0.1))
    items: list[Call | list[Call]] = [Call("a", "slow"), three("x"), three("y"), Call("b", "ok")]
    found = documents.parts(way, batching_gateway, *items)
    assert [part.members is None for part in found] == [True, False, False, True]
    assert [call.line for call in things.log] == ["GET /slow", "POST /$batch", "POST /$batch", "GET /ok"]
    for earlier, later in zip(things.log, things.log[1:], strict=False):
        assert earlier.finished is not None
        assert earlier.finished <= later.started


def test_MB_07_a_get_fails_the_change_set_and_nothing_of_it_runs(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    items = [post("1"), Call("2", "ok"), post("3")]
    [part] = documents.parts(way, batching_gateway, items, Call("after", "Customers(7)"))
    check_failed(part, 400, "2")
    assert things.lines == []


def test_MB_07_a_get_alone_in_a_set_is_400(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    [part] = documents.parts(way, batching_gateway, [Call("1", "ok")])
    check_failed(part, 400, "1")
    assert things.lines == []


@pytest.mark.parametrize("elsewhere", ["orders/Items", "plain/Items"])
def test_GW_04_a_change_set_over_two_upstreams_is_one_501(
    elsewhere: str,
    way: str,
    batching_gateway: Gateway,
    things: BatchingUpstream,
    batching_orders: BatchingUpstream,
    orders: ScriptedUpstream,
) -> None:
    [part] = documents.parts(way, batching_gateway, [post("1"), post("2", elsewhere)], Call("after", "ok"))
    assert part.members is None
    assert part.status == 501
    assert rest.is_odata_error(part.json())
    assert [things.lines, batching_orders.lines, orders.lines] == [[], [], []]


def test_GW_13_a_set_over_the_limit_is_413(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    [part] = documents.parts(way, batching_gateway, [post(f"m{n}") for n in range(30)])
    assert set(by_content_id(part).values()) == {201}
    things.log.clear()
    with pytest.raises(Refused) as caught:
        documents.parts(way, batching_gateway, Call("a", "ok"), [post(f"m{n}") for n in range(31)])
    assert caught.value.bad_envelope or caught.value.status == 413 or "RESOURCE" in str(caught.value.status)
    assert things.log == []


def test_ID_14_references_within_a_change_set_and_across(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Customers(7)/Orders", json_reply({}, 201, [("Location", f"{things.origin}/Orders(9)")]))
    things.on("PATCH", "/Orders(9)", Reply(204))
    things.on("GET", "/Orders(9)")
    items: list[Call | list[Call]] = [
        [post("new"), post("order", "$new/Orders"), patch("change", "$order")],
        [patch("1", "$new", headers={"if-match": "$new"}), patch("2", "$order")],
        Call("look", "$order"),
    ]
    first, second, last = documents.parts(way, batching_gateway, *items)
    assert by_content_id(first) == {"new": 201, "order": 201, "change": 204}
    assert by_content_id(second) == {"1": 204, "2": 204}
    assert last.status == 200
    assert things.unpacked[3].header("if-match") == 'W/"7"'


def test_MP_14_locations_of_a_change_set_are_public_and_hold_no_reference(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Customers(7)/Orders", json_reply({}, 201, [("Location", f"{things.origin}/Orders(9)")]))
    [part] = documents.parts(way, batching_gateway, [post("new"), post("order", "$new/Orders")])
    assert part.members is not None
    locations = {member.content_id: member.header("location") for member in part.members}
    assert (locations["new"] or "").endswith("/svc/Customers(7)")
    assert (locations["order"] or "").endswith("/svc/Orders(9)")
    assert str(things.port) not in str(locations)


def test_MP_14_a_reference_to_a_failed_set_is_400(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    found = documents.parts(way, batching_gateway, failing(1), Call("after", "$m0/Orders"), headers=GO_ON)
    check_failed(found[0], 412, "m1")
    assert found[1].status in (400, 424)
    assert not [line for line in things.lines if line.startswith("GET")]


@pytest.mark.parametrize("request_format", ["json", "multipart"])
@pytest.mark.parametrize("answer_format", ["json", "multipart"])
def test_CF_01_the_same_groups_in_every_format(
    request_format: str, answer_format: str, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    items: list[Call | list[Call]] = [three(), Call("b", "ok"), failing(1)]
    results = documents.run(way, batching_gateway, request_format, answer_format, items)
    found = {result.id: result.status for result in results}
    whole = {"new": 201, "change": 204, "gone": 204, "b": 200, "m0": 424, "m1": 412, "m2": 424}
    if request_format == "multipart" and answer_format == "multipart":
        assert found == {name: status for name, status in whole.items() if name not in ("m0", "m2")}
    else:
        assert {name: found.get(name, whole[name]) for name in whole} == whole
        assert {"new", "change", "gone", "b", "m1"} <= found.keys() <= whole.keys()
    assert things.applied == ["POST /Customers", "PATCH /Customers(7)", "DELETE /Customers(3)"]


def test_JR_04_groups_of_a_json_answer_to_change_sets(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = documents.run(way, batching_gateway, "multipart", "json", [three("x"), three("y"), Call("b", "ok")])
    assert [result.id for result in results][-1] == "b"
    groups = [{result.group for result in results if result.id.startswith(prefix)} for prefix in ("x", "y")]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[0] != groups[1]
    assert "" not in groups[0] | groups[1]
    assert results[-1].group == ""


def test_PR_07_a_flat_route_answers_each_call_and_goes_on(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    found = documents.parts(way, batching_gateway, failing(1), three("x"), route="/flat/")
    assert [part.members for part in found] == [None] * 6
    assert [part.status for part in found] == [424, 412, 424, 201, 204, 204]
    assert [part.content_id for part in found] == ["m0", "m1", "m2", "xnew", "xchange", "xgone"]


def test_GW_21_a_truncated_change_set_runs_nothing(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    text = multiparts.document_of([three()])
    for end in range(len(text) - 8, 0, -41):
        with pytest.raises(Refused) as caught:
            documents.send(way, batching_gateway, text[:end])
        assert caught.value.bad_envelope
    assert things.lines == []


@pytest.mark.parametrize("pieces", [1, 7, 64])
def test_GW_21_any_cut_of_the_document_gives_the_same(
    pieces: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    found = documents.parts(way, batching_gateway, Call("a", "ok"), three(), pieces=pieces)
    assert found[0].status == 200
    assert by_content_id(found[1]) == {"new": 201, "change": 204, "gone": 204}


def test_GW_04_bodies_of_change_sets_arrive_byte_for_byte(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    body = b"line\r\n\r\n--cs0x\r\nend \r\n"
    things.on("PUT", "/File", Reply(204))
    call = Call("1", "File", "PUT", {"content-type": "application/octet-stream"}, body)
    [part] = documents.parts(way, batching_gateway, [call, delete("2", "Customers(3)")])
    assert by_content_id(part) == {"1": 204, "2": 204}
    if is_json_batch(things):
        assert things.call("PUT /File").body == body
    else:
        assert b"\r\n\r\n" + body + b"\r\n--" in things.batches[0].body


def test_MP_10_answers_of_a_change_set_keep_headers_and_body(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    [part] = documents.parts(way, batching_gateway, three())
    assert part.members is not None
    new = next(member for member in part.members if member.content_id == "new")
    assert new.header("etag") == 'W/"7"'
    assert json.loads(new.body) == {"ID": 7, "Name": "Ada"}
