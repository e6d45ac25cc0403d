"""Groups before an upstream that fails as a whole: rules GW-15, JR-12 and MP-08, deadlines, and clients that go away.

Whatever the upstream says or leaves unsaid, no member may pass for a success, every call gets exactly one result,
and a batch is never sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from batchwire.v1 import batch_pb2
from harness import documents, grpc_client, multiparts, rest
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    Call,
    by_id,
    check_error,
    duration,
    run_batch,
    statuses,
    to_json_member,
    to_proto,
)
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import post, script_customers
from harness.scripted import Gate, Reply, json_reply, odata_error

JSON = [("Content-Type", "application/json")]
MULTIPART = [("Content-Type", "multipart/mixed; boundary=x")]
CALLS = [post("a"), post("b"), Call("after", "ok", depends_on=["g"]), Call("other", "Customers(7)")]
DONE = '{"id":"%s","status":201,"headers":{}}'
PART = "Content-Type: application/http\r\nContent-ID: %s\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    yield
    assert things.problems == []


def responses(*texts: str) -> Reply:
    return Reply(200, JSON, ('{"responses":[' + ",".join(texts) + "]}").encode())


def change_set(*texts: str, end: str = "--y--\r\n--x--\r\n") -> Reply:
    inner = "".join(f"--y\r\n{text}\r\n" for text in texts)
    return Reply(200, MULTIPART, f"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n{inner}{end}".encode())


BAD: dict[str, Reply] = {
    "500": odata_error(500),
    "404": odata_error(404),
    "400": odata_error(400),
    "302": Reply(302, [("Location", "/elsewhere")]),
    "204": Reply(204),
    "202-of-no-batch": Reply(202, [("Location", "/monitor")]),
    "empty": Reply(200, JSON),
    "no-type": Reply(200, [], b'{"responses":[]}'),
    "html": Reply(200, [("Content-Type", "text/html")], b"<html></html>"),
    "garbage": Reply(200, JSON, b"\x00\xff garbage"),
    "json-null": Reply(200, JSON, b"null"),
    "json-object": json_reply({}),
    "json-no-responses": responses(),
    "json-no-array": json_reply({"responses": {"1": {"status": 201}}}),
    "json-truncated": Reply(200, JSON, b'{"responses":[' + DONE.encode() % b"1" + b"," + DONE.encode() % b"2"),
    "json-one-missing": responses(DONE % "1"),
    "json-one-twice": responses(DONE % "1", DONE % "1", DONE % "2"),
    "json-other-ids": responses(DONE % "a", DONE % "b"),
    "json-no-status": responses(DONE % "1", '{"id":"2"}'),
    "json-odd-status": responses(DONE % "1", '{"id":"2","status":99}'),
    "json-status-of-words": responses(DONE % "1", '{"id":"2","status":"fine"}'),
    "json-odd-headers": responses(DONE % "1", '{"id":"2","status":201,"headers":["x"]}'),
    "json-header-with-line-end": responses(
        DONE % "1", '{"id":"2","status":201,"headers":{"x":"a\\r\\nSet-Cookie: b"}}'
    ),
    "json-odd-base64": responses(
        DONE % "1", '{"id":"2","status":200,"headers":{"content-type":"image/png"},"body":"?"}'
    ),
    "multipart-no-boundary": Reply(200, [("Content-Type", "multipart/mixed")], b"--x--\r\n"),
    "multipart-empty": Reply(200, MULTIPART, b"--x--\r\n"),
    "multipart-no-close": change_set(PART % "1", PART % "2", end=""),
    "multipart-inner-no-close": change_set(PART % "1", PART % "2", end="--x--\r\n"),
    "multipart-outer-no-close": change_set(PART % "1", PART % "2", end="--y--\r\n"),
    "multipart-one-missing": change_set(PART % "1"),
    "multipart-one-twice": change_set(PART % "1", PART % "1", PART % "2"),
    "multipart-one-odd": change_set(PART % "1", "Content-Type: text/plain\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"),
    "multipart-no-status-line": change_set(PART % "1", "Content-Type: application/http\r\nContent-ID: 2\r\n\r\nfine"),
    "multipart-a-success-for-all": Reply(200, MULTIPART, ("--x\r\n" + PART % "1" + "\r\n--x--\r\n").encode()),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_GW_15_an_answer_that_is_none_fails_every_member(
    bad: Reply, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: bad
    results = by_id(run_batch("rest-json", batching_gateway, CALLS))
    check_error(results["a"], 502)
    check_error(results["b"], 502)
    check_error(results["after"], 424)
    assert results["other"].status == 200
    assert len(things.batches) == 1


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_MP_08_an_answer_that_is_none_is_one_failed_change_set(
    bad: Reply, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: bad
    [part] = documents.parts("rest", batching_gateway, CALLS[:2], Call("next", "ok"))
    assert part.members is None
    assert part.status == 502
    assert rest.is_odata_error(part.json())
    assert [call.line for call in things.log] == ["POST /$batch"]


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_GW_15_what_is_said_of_the_client_or_the_load_is_said_to_every_member(
    status: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.batch_answer = lambda _: odata_error(status, headers=[("Retry-After", "9")])
    results = by_id(run_batch(front, batching_gateway, CALLS))
    for name in ("a", "b"):
        check_error(results[name], status)
        assert results[name].headers["retry-after"] == "9"
    check_error(results["after"], 424)


def breaks_off(_: object) -> Reply:
    raise ConnectionResetError


def test_GW_15_a_batch_without_an_answer_is_502_and_never_sent_again(
    front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Also on a connection that has served before, where a stale one could be suspected."""
    assert set(statuses(run_batch(front, batching_gateway, CALLS)).values()) == {200, 201}
    things.log.clear()
    things.batch_answer = breaks_off
    results = by_id(run_batch(front, batching_gateway, CALLS))
    for name in ("a", "b"):
        check_error(results[name], 502)
    check_error(results["after"], 424)
    assert results["other"].status == 200
    assert len(things.batches) == 1


def test_GW_15_the_next_group_runs_again(front: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.batch_answer = breaks_off
    run_batch(front, batching_gateway, CALLS)
    things.batch_answer = None
    assert set(statuses(run_batch(front, batching_gateway, CALLS)).values()) == {200, 201}


@pytest.mark.parametrize("status", [412, 500])
def test_MP_08_a_single_failure_of_the_upstream_speaks_for_all(
    status: int, front: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """A multipart upstream need not say which member failed (GW-19); a JSON one may leave the others out."""
    error = '{"error":{"code":"Broken","message":"no"}}'
    part = (
        f"Content-Type: application/http\r\n\r\nHTTP/1.1 {status} No\r\nContent-Type: application/json\r\n\r\n{error}"
    )
    by_form = {
        "application/json": responses(f'{{"id":"2","status":{status},"body":{error}}}'),
        "multipart/mixed": Reply(200, MULTIPART, f"--x\r\n{part}\r\n--x--\r\n".encode()),
    }
    things.batch_answer = lambda call: by_form[(call.header("content-type") or "").partition(";")[0]]
    results = by_id(run_batch(front, batching_gateway, CALLS))
    assert {results["a"].status, results["b"].status} <= {status, 424}
    check_error(results["b"], status)
    assert results["b"].json()["error"]["code"] == "Broken"
    assert results["a"].is_error
    check_error(results["after"], 424)


# --- time


@pytest.fixture
def gate(things: BatchingUpstream) -> Iterator[Gate]:
    """No batch is answered before it opens."""
    held = things.gate()
    things.batch_gate = held
    yield held
    held.open()


def test_GW_15_a_group_that_is_late_is_504_for_all(
    front: str, batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    results = by_id(run_batch(front, batching_gateway, CALLS, route="/hasty/"))
    for name in ("a", "b"):
        check_error(results[name], 504)
    check_error(results["after"], 424)
    assert results["other"].status == 200
    assert things.wait_until(lambda: things.batches[0].aborted)
    assert len(things.batches) == 1


def test_GW_15_a_change_set_that_is_late_is_one_504(
    way: str, batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    [part] = documents.parts(way, batching_gateway, CALLS[:2], Call("next", "ok"), route="/hasty/")
    assert part.members is None
    assert part.status == 504
    assert rest.is_odata_error(part.json())
    assert len(things.log) == 1


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_15_the_shortest_timeout_of_a_member_holds_for_the_group(
    front: str, batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    calls = [post("a", timeout=20), post("b", timeout=0.3), post("c")]
    assert statuses(run_batch(front, batching_gateway, calls)) == {"a": 504, "b": 504, "c": 504}
    assert things.wait_until(lambda: things.batches[0].aborted)


def test_GW_15_the_deadline_of_the_batch_ends_running_and_waiting_groups(
    batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    calls = [*CALLS, post("h1", group="h", depends_on=["g"], condition="true"), post("h2", group="h")]
    request = batch_pb2.ExecuteRequest(
        options=grpc_client.options(deadline=duration(0.5)), calls=[to_proto(call) for call in calls]
    )
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        found = {result.id: result.status for result in client.execute(request).results}
    assert [found["a"], found["b"], found["other"]] == [504, 504, 200]
    assert {found["after"], found["h1"], found["h2"]} <= {424, 504}
    assert len(found) == len(calls)
    assert len(things.batches) == 1
    assert "GET /ok" not in things.lines
    batching_gateway.wait_idle()


def test_GW_15_the_deadline_of_an_rpc_ends_a_group_in_time_to_say_so(
    batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    message = grpc_client.message(*(to_proto(call) for call in CALLS), options=grpc_client.options())
    with grpc_client.Client(batching_gateway.grpc_address) as client:
        found = {result.id: result.status for result in grpc_client.results_of(client.batch([message], timeout=1))}
    assert [found["a"], found["b"], found["other"]] == [504, 504, 200]
    assert found["after"] in (424, 504)
    assert things.wait_until(lambda: things.batches[0].aborted)
    batching_gateway.wait_idle()
    assert "GET /ok" not in things.lines


# --- clients that go away


def send_json(gateway: Gateway) -> Callable[[], None]:
    return send(gateway, "application/json", rest.encode({"requests": [to_json_member(call) for call in CALLS]}))


def send_multipart(gateway: Gateway) -> Callable[[], None]:
    text = multiparts.document_of([CALLS[:2], [post("h1"), post("h2")], Call("after", "ok")])
    return send(gateway, documents.MULTIPART, text)


def send_grpc(gateway: Gateway) -> Callable[[], None]:
    client = grpc_client.Client(gateway.grpc_address)
    message = grpc_client.message(*(to_proto(call) for call in CALLS), options=grpc_client.options())
    stream = client.stub.Batch(iter([message]))

    def cancel() -> None:
        stream.cancel()
        client.channel.close()

    return cancel


def send(gateway: Gateway, content_type: str, body: bytes) -> Callable[[], None]:
    wire = rest.Wire(gateway.http_port)
    fields = {"Content-Type": content_type, "Content-Length": str(len(body)), "Prefer": "continue-on-error"}
    wire.begin("POST", "/svc/$batch", {**fields, **rest.STRICT})
    wire.send(body)
    return wire.reset


@pytest.mark.parametrize("begin", [send_json, send_multipart, send_grpc], ids=lambda begin: begin.__name__)
def test_a_client_that_goes_away_stops_its_group(
    begin: Callable[[Gateway], Callable[[], None]], batching_gateway: Gateway, things: BatchingUpstream, gate: Gate
) -> None:
    vanish = begin(batching_gateway)
    assert things.wait_until(lambda: bool(things.batches))
    vanish()
    assert things.wait_until(lambda: things.batches[0].aborted)
    batching_gateway.wait_idle()
    gate.open()
    assert len(things.batches) == 1
    assert "GET /ok" not in things.lines


def test_a_group_that_waits_for_its_turn_at_the_upstream_is_answered_when_that_dies(
    batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    """Many groups at once: each has its own answer, whatever becomes of the others."""
    numbers = iter(range(100))

    def every_third(_: object) -> Reply:
        if next(numbers) % 3 == 0:
            raise ConnectionResetError
        return responses(DONE % "1", DONE % "2")

    things.batch_answer = every_third
    calls = [post(f"{n}{x}", group=f"g{n}") for n in range(30) for x in "ab"]
    answer = rest.post(batching_gateway.http_port, {"requests": [to_json_member(call) for call in calls]})
    found = {one["id"]: one["status"] for one in json.loads(answer.body)["responses"]}
    assert len(found) == 60
    assert set(found.values()) <= {201, 502}
    for n in range(30):
        assert found[f"{n}a"] == found[f"{n}b"]
    assert len(things.batches) == 30
