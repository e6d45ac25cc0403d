"""Groups over upstreams with transactions of their own: rules GW-02, GW-04, GW-13, ER-03, JB-15 and JR-12.

JSON and gRPC groups here; change sets are in test_groups_change_sets.py. Every test runs before an upstream that
takes JSON batches and before one that takes multipart; what that upstream was told is checked to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client
from harness.batches import GRPC_BATCH, Call, Refused, by_id, check_error, run_batch, statuses, to_proto
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, failing, is_json_batch, patch, post, script_customers, told_members
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream, batching_orders: BatchingUpstream, orders: ScriptedUpstream) -> Iterator[None]:
    script_customers(things)
    yield
    assert [things.problems, batching_orders.problems, orders.problems] == [[], [], []]


THREE = [post("new"), patch("change", "Customers(7)", {"Name": "Bob"}), delete("gone", "Customers(3)")]
LINES = ["POST /Customers", "PATCH /Customers(7)", "DELETE /Customers(3)"]


def test_GW_04_a_group_travels_as_one_group_of_one_batch(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = by_id(run_batch(front, batching_gateway, THREE))
    assert {name: (r.status, r.group) for name, r in results.items()} == {
        "new": (201, "g"),
        "change": (204, "g"),
        "gone": (204, "g"),
    }
    assert results["new"].json() == {"ID": 7, "Name": "Ada"}
    assert results["new"].headers["etag"] == 'W/"7"'
    assert [call.line for call in things.log] == ["POST /$batch"]
    assert things.sizes == [3]
    assert things.applied == LINES
    assert things.call("PATCH /Customers(7)").body == b'{"Name":"Bob"}'


def test_GW_04_the_clients_names_do_not_reach_the_upstream_and_come_back(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Ids of two clients could meet there; here the client's look like those of the upstream's batch, crossed."""
    calls = [post("2", group="1g"), delete("3", "Customers(3)", group="1g"), patch("1", "Customers(7)", group="1g")]
    results = by_id(run_batch(front, batching_gateway, calls))
    assert {name: (r.status, r.group) for name, r in results.items()} == {
        "2": (201, "1g"),
        "3": (204, "1g"),
        "1": (204, "1g"),
    }
    if is_json_batch(things):
        assert {member["atomicityGroup"] for member in told_members(things)} != {"1g"}


def test_GW_04_two_groups_are_two_batches(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    calls = [*failing(1), post("a", group="h"), delete("b", "Customers(3)", group="h")]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert found == {"m0": 424, "m1": 412, "m2": 424, "a": 201, "b": 204}
    assert sorted(things.sizes) == [2, 3]
    assert things.applied == ["POST /Customers", "DELETE /Customers(3)"]


def test_GW_04_calls_outside_of_groups_travel_alone(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [Call("before", "ok"), *THREE, Call("after", "Customers(7)")]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert found == {"before": 200, "new": 201, "change": 204, "gone": 204, "after": 200}
    assert sorted(call.line for call in things.log) == ["GET /Customers(7)", "GET /ok", "POST /$batch"]


def test_GW_04_a_group_of_one_runs_as_it_is(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    [result] = run_batch(front, batching_gateway, [post("1")])
    assert (result.status, result.group) == (201, "g")
    assert [call.line for call in things.log] == ["POST /Customers"]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("elsewhere", ["orders/Items", "plain/Items"])
def test_GW_04_a_member_in_another_upstream_is_501_for_all(
    elsewhere: str,
    place: int,
    front: str,
    batching_gateway: Gateway,
    things: BatchingUpstream,
    batching_orders: BatchingUpstream,
    orders: ScriptedUpstream,
) -> None:
    calls = [post(f"m{n}", elsewhere if n == place else "Customers") for n in range(3)]
    calls.append(Call("after", "ok", depends_on=["g"]))
    results = by_id(run_batch(front, batching_gateway, calls))
    for call in calls[:3]:
        check_error(results[call.id], 501)
        assert results[call.id].group == "g"
        if (elsewhere, place) != ("plain/Items", 0):  # that upstream runs no group at all
            assert "several upstreams" in results[call.id].json()["error"]["message"], "ER-05"
    check_error(results["after"], 424)
    assert [things.lines, batching_orders.lines, orders.lines] == [[], [], []]


def test_GW_04_a_group_whose_members_are_all_in_the_mounted_upstream_runs_there(
    front: str, batching_gateway: Gateway, things: BatchingUpstream, batching_orders: BatchingUpstream
) -> None:
    made = [("Location", f"{batching_orders.origin}/Items(1)")]
    batching_orders.on("POST", "/Items", json_reply({}, 201, made))
    batching_orders.on("DELETE", "/Items(2)", Reply(204))
    calls = [post("1", "orders/Items"), delete("2", "orders/Items(2)")]
    results = by_id(run_batch(front, batching_gateway, calls))
    assert [results["1"].status, results["2"].status] == [201, 204]
    assert things.lines == []
    assert batching_orders.applied == ["POST /Items", "DELETE /Items(2)"]


def test_GW_04_a_group_in_a_mounted_upstream_without_batches_is_501(
    front: str, batching_gateway: Gateway, orders: ScriptedUpstream
) -> None:
    results = run_batch(front, batching_gateway, [post("1", "plain/A"), post("2", "plain/A")])
    for result in results:
        check_error(result, 501)
    assert orders.lines == []


def test_GW_04_a_get_in_a_group(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """JB-13 allows it; a change set cannot hold it (MB-07), so that over multipart nothing of the group runs."""
    calls = [post("1"), Call("2", "Customers(7)", group="g")]
    results = by_id(run_batch(front, batching_gateway, calls))
    if things.log:
        assert is_json_batch(things)
        assert {name: result.status for name, result in results.items()} == {"1": 201, "2": 200}
        assert results["2"].json() == {"ID": 7, "Name": "Ada"}
    else:
        for result in results.values():
            check_error(result, 501)
            assert "one is a GET" in result.json()["error"]["message"], "ER-05"


def test_GW_04_a_get_in_a_group_runs_where_the_upstream_takes_json(
    batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """The form of the upstream is seen by what it gets of another group."""
    run_batch(GRPC_BATCH, batching_gateway, THREE)
    by_json = is_json_batch(things)
    found = statuses(run_batch(GRPC_BATCH, batching_gateway, [post("1"), Call("2", "Customers(7)", group="g")]))
    assert found == ({"1": 201, "2": 200} if by_json else {"1": 501, "2": 501})


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_ER_03_a_failing_member_takes_the_group_with_it(
    bad: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = by_id(run_batch(front, batching_gateway, failing(bad)))
    assert things.applied == []
    assert {name: r.status for name, r in results.items()} == {f"m{n}": 412 if n == bad else 424 for n in range(3)}
    for result in results.values():
        assert result.group == "g"
        assert result.is_error or result.body is None
        assert not {"location", "etag"} & result.headers.keys()
    assert results[f"m{bad}"].json()["error"] == {"code": "Changed", "message": "changed meanwhile"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 428, 500, 503])
def test_JR_12_whatever_the_failure_is(
    status: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PATCH", "/Customers(8)", odata_error(status, headers=[("X-Why", "so")]))
    results = by_id(run_batch(front, batching_gateway, [*failing(1), Call("after", "ok", depends_on=["g"])]))
    check_error(results["m1"], status)
    assert results["m1"].headers["x-why"] == "so"
    assert [results["m0"].status, results["m2"].status, results["after"].status] == [424, 424, 424]
    assert things.applied == []


@pytest.mark.parametrize("name", ["m0", "m1", "m2"])
def test_JR_12_what_was_rolled_back_has_not_succeeded_for_anybody(
    name: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """m0 was 201 before the upstream took it back."""
    calls = [
        *failing(1),
        Call("plain", "ok", depends_on=[name]),
        Call("asks", "ok", depends_on=[name], condition=f"${name}/$succeeded"),
        Call("else", "Customers(7)", depends_on=[name], condition=f"not ${name}/$succeeded"),
    ]
    found = statuses(run_batch(front, batching_gateway, calls))
    assert [found["plain"], found["asks"], found["else"]] == [424, 424, 200]
    assert "GET /ok" not in things.lines


def test_JR_12_outcomes_and_summary_over_grpc(batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """m2 was not tried: a JSON upstream says so itself, a multipart one speaks of the failure alone (MP-08)."""
    calls = [to_proto(call) for call in [*failing(1), post("a", group="h"), post("b", group="h")]]
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls))
    by_json = is_json_batch(things)
    outcomes = {result.id: batch_pb2.Outcome.Name(result.outcome) for result in answer.results}
    assert outcomes == {
        "m0": "OUTCOME_DEPENDENCY_FAILED",
        "m1": "OUTCOME_FAILED",
        "m2": "OUTCOME_FAILED" if by_json else "OUTCOME_DEPENDENCY_FAILED",
        "a": "OUTCOME_SUCCEEDED",
        "b": "OUTCOME_SUCCEEDED",
    }
    summary = answer.summary
    counts = [summary.calls, summary.succeeded, summary.failed, summary.dependency_failed]
    assert counts == ([5, 2, 2, 1] if by_json else [5, 2, 1, 2])


@pytest.mark.parametrize(
    "bad",
    [
        Call("bad", "Customers", "TRACE", group="g"),
        Call("bad", "../other", "DELETE", group="g"),
        Call("bad", "Customers(3)", "DELETE", body=b"{}", group="g"),
        Call("bad", "$batch", "POST", group="g"),
        Call("bad", "Customers(3)", "DELETE", group="g", depends_on=["nobody"]),
        Call("bad", "Customers(3)", "DELETE", group="g", depends_on=["g"]),
        Call("bad", "Customers(3)", "DELETE", group="g", depends_on=["bad"]),
        Call("bad", "Customers(3)", "DELETE", group="g", depends_on=["last"]),
        Call("bad", "$nobody/Orders", "DELETE", group="g"),
        Call("bad", "$last", "DELETE", group="g"),
        Call("bad", "$g", "DELETE", group="g"),
        Call("bad", "Customers(3)", "DELETE", {"if-match": "$nobody"}, group="g"),
        Call("bad", "Customers(3)", "DELETE", {"authorization": "Bearer x"}, group="g"),
    ],
    ids=[
        "method",
        "leaves-root",
        "body",
        "nested",
        "unknown",
        "own-group",
        "itself",
        "later",
        "reference-unknown",
        "reference-later",
        "reference-group",
        "etag-unknown",
        "authorization",
    ],
)
def test_GW_02_one_broken_member_fails_its_group_before_anything_runs(
    bad: Call, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    calls = [post("first"), bad, post("last"), Call("after", "ok", depends_on=["g"]), Call("other", "ok")]
    results = by_id(run_batch(front, batching_gateway, calls))
    check_error(results["bad"], 400)
    for name in ("first", "last", "after"):
        check_error(results[name], 424)
    assert results["other"].status == 200
    assert things.lines == ["GET /ok"]


def test_GW_02_a_member_whose_body_cannot_be_said_fails_its_group(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Over gRPC nobody has looked at the body before; a JSON batch of the upstream would be broken by it."""
    calls = [to_proto(post("1")), to_proto(post("2"))]
    calls[1].body = b'{"a":1}},{"id":"x"'
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls))
    found = {result.id: result.status for result in answer.results}
    if things.log:
        assert not is_json_batch(things)
        assert found == {"1": 201, "2": 201}
    else:
        assert found == {"1": 424, "2": 400}


def test_GW_13_a_group_up_to_the_limit_runs_and_one_over_it_is_413(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = run_batch(front, batching_gateway, [post(f"m{n}") for n in range(30)])
    assert [result.status for result in results] == [201] * 30
    assert things.sizes == [30]
    things.log.clear()
    with pytest.raises(Refused) as caught:
        run_batch(front, batching_gateway, [Call("before", "ok"), *(post(f"m{n}") for n in range(31))])
    refusals = (413, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert caught.value.status in refusals
    assert "30" in caught.value.details
    assert things.log == []


@pytest.mark.parametrize("name", ["content-language", "x-own", "if-match", "prefer"])
def test_GW_08_headers_of_members_stay_theirs(
    name: str, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    value = {"if-match": 'W/"5"', "prefer": "return=minimal"}.get(name, "en")
    calls = [patch("1", "Customers(7)", headers={name: value}), delete("2", "Customers(3)")]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"1": 204, "2": 204}
    assert things.call("PATCH /Customers(7)").header(name) == value
    assert things.call("DELETE /Customers(3)").header(name) is None


def test_GW_08_what_the_batch_hands_down_reaches_every_member(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    results = run_batch(front, batching_gateway, THREE, headers={"Accept-Language": "de"})
    assert {result.status for result in results} == {201, 204}
    assert [call.header("accept-language") for call in things.unpacked] == ["de"] * 3


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"n":12345678901234567890.10,"s":"\\u00e9\\"","t":"$1"}'),
        ("text/plain", "grüß\r\n".encode()),
        ("application/octet-stream", bytes(range(256))),
        ("application/xml", b"<a>\r\n</a>"),
    ],
)
def test_GW_04_bodies_arrive_as_they_were_sent(
    kind: str, body: bytes, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("PUT", "/File", Reply(204))
    call = Call("1", "File", "PUT", {"content-type": kind}, body, group="g")
    found = statuses(run_batch(GRPC_BATCH, batching_gateway, [call, delete("2", "Customers(3)")]))
    assert found == {"1": 204, "2": 204}
    batch = things.batches[0].body
    if kind == "application/json":
        assert body in batch
    elif not is_json_batch(things):
        assert b"\r\n\r\n" + body + b"\r\n--" in batch
    else:
        assert things.call("PUT /File").body == body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"n":1.5,"s":"\\u00e9"}'),
        ("application/json;odata.metadata=full", b'{"a":[1,2]}'),
        ("text/plain", b"plain"),
    ],
)
def test_GW_04_answers_arrive_with_type_and_body(
    kind: str, body: bytes, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Act", Reply(200, [("Content-Type", kind), ("X-Own", "1")], body))
    results = by_id(run_batch(front, batching_gateway, [post("1", "Act"), delete("2", "Customers(3)")]))
    assert results["1"].status == 200
    assert results["1"].headers.get("content-type", "application/json").startswith(kind)
    assert results["1"].headers["x-own"] == "1"
    if kind.startswith("application/json"):
        assert results["1"].json() == json.loads(body)
    else:
        assert results["1"].body == body
