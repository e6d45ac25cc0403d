"""An upstream that breaks its answer fails that call alone: 502 with an OData error, the others go on."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    GRPC_JSON,
    REST,
    Call,
    by_id,
    check_error,
    run_batch,
    statuses,
)
from harness.faulty import BAD_ANSWERS, BAD_JSON, FaultyUpstream
from harness.gateway import Gateway

TWO_FRONTS = [REST, GRPC_BATCH]
FINE_BEFORE = Call("before", "fine/1")
FINE_AFTER = Call("after", "fine/2")


def run_with_fault(front: str, gateway: Gateway, url: str, method: str = "GET") -> dict[str, int]:
    """Runs the fault between good calls, checks those and the error object, and gives the statuses."""
    body = None if method == "GET" else b"{}"
    dependent = Call("dependent", "fine/3", depends_on=["bad"])
    calls = [FINE_BEFORE, Call("bad", url, method, body=body), FINE_AFTER, dependent]
    results = by_id(run_batch(front, gateway, calls))
    assert results["before"].json() == results["after"].json() == {"fine": 1}
    if results["bad"].status >= 500:
        check_error(results["bad"], results["bad"].status)
        check_error(results["dependent"], 424)
    return {name: result.status for name, result in results.items()}


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize("name", ["reset-before-head", "reset-mid-body", "reset-without-length", *BAD_ANSWERS])
def test_a_broken_answer_is_502(name: str, front: str, fault_gateway: Gateway, faulty: FaultyUpstream) -> None:
    assert run_with_fault(front, fault_gateway, name)["bad"] == 502


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize("name", ["endless-head", "endless-1xx", "endless-body"])
def test_an_endless_answer_is_cut(name: str, front: str, fault_gateway: Gateway) -> None:
    assert run_with_fault(front, fault_gateway, name)["bad"] in (502, 504)


@pytest.mark.parametrize("front", [REST, GRPC_JSON])
@pytest.mark.parametrize("name", BAD_JSON)
def test_AN_01_json_that_is_none_changes_no_status(name: str, front: str, fault_gateway: Gateway) -> None:
    found = run_with_fault(front, fault_gateway, name)
    assert (found["bad"], found["dependent"]) == (200, 200)


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
@pytest.mark.parametrize("name", BAD_JSON)
def test_bytes_are_bytes_in_a_protobuf_answer(name: str, front: str, fault_gateway: Gateway) -> None:
    """`Result.body` is the upstream's bytes, so nothing has to be understood."""
    [result] = run_batch(front, fault_gateway, [Call("1", name)])
    assert result.status == 200
    assert (result.body or b"") == BAD_JSON[name]


def test_a_body_cannot_break_out_of_its_place(fault_gateway: Gateway) -> None:
    calls = [rest.get_call("1", "json-breaks-out"), rest.get_call("2", "fine/1")]
    assert set(rest.post(fault_gateway.http_port, {"requests": calls}).by_id()) == {"1", "2"}


def test_text_that_is_not_utf8_leaves_the_document_valid(fault_gateway: Gateway) -> None:
    calls = [rest.get_call("1", "text-of-bad-utf8"), rest.get_call("2", "fine/1")]
    answer = rest.post(fault_gateway.http_port, {"requests": calls})
    answer.body.decode("utf-8")
    assert answer.by_id()["2"]["body"] == {"fine": 1}


@pytest.mark.parametrize("front", TWO_FRONTS)
def test_surplus_bytes_never_become_an_answer(front: str, fault_gateway: Gateway) -> None:
    for _ in range(3):
        assert statuses(run_batch(front, fault_gateway, [Call("1", "surplus-after-body")])) == {"1": 200}
        calls = [Call(str(n), f"fine/{n}") for n in range(20)]
        for result in run_batch(front, fault_gateway, calls):
            assert result.json() == {"fine": 1}


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize(("name", "status"), [("body-with-204", 204), ("length-with-304", 304)])
def test_no_body_where_none_may_be(name: str, status: int, front: str, fault_gateway: Gateway) -> None:
    for _ in range(3):
        [result] = run_batch(front, fault_gateway, [Call("1", name)])
        assert (result.status, result.body) == (status, None)
        [fine] = run_batch(front, fault_gateway, [Call("1", "fine/1")])
        assert fine.json() == {"fine": 1}


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_15_a_body_behind_head_is_no_other_answer(front: str, fault_gateway: Gateway) -> None:
    """The server sends the body that it speaks of, which HEAD has not: the connection is not used again."""
    for _ in range(10):
        [head] = run_batch(front, fault_gateway, [Call("1", "fine/1", "HEAD")])
        assert (head.status, head.body or None) == (200, None)
        for result in run_batch(front, fault_gateway, [Call(str(n), "http-1-0") for n in range(3)]):
            assert (result.status, result.json()) == (200, {"fine": 1})


@pytest.mark.parametrize("front", [REST, GRPC_BATCH, GRPC_JSON])
def test_an_empty_body_is_no_body_whatever_its_type(front: str, fault_gateway: Gateway) -> None:
    [result] = run_batch(front, fault_gateway, [Call("1", "empty-body")])
    assert (result.status, result.body or None) == (200, None)


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize("name", ["a-few-1xx", "http-1-0", "no-length", "connection-close", "no-reason"])
def test_odd_but_good_answers_are_taken(name: str, front: str, fault_gateway: Gateway) -> None:
    calls = [Call(str(n), name) for n in range(5)]
    for result in run_batch(front, fault_gateway, calls):
        assert (result.status, result.json()) == (200, {"fine": 1})


@pytest.mark.parametrize("front", TWO_FRONTS)
def test_bare_line_feeds_are_taken_or_502(front: str, fault_gateway: Gateway) -> None:
    assert run_with_fault(front, fault_gateway, "lf-only")["bad"] in (200, 502)


@pytest.mark.parametrize("front", TWO_FRONTS)
def test_a_refused_connection_is_502(front: str, fault_gateway: Gateway) -> None:
    calls = [
        Call("1", "dead/x"),
        Call("2", "faulty/fine/1"),
        Call("3", "dead/x", "POST", body=b"{}"),
        Call("4", "faulty/fine/2", depends_on=["1"]),
    ]
    results = by_id(run_batch(front, fault_gateway, calls, route="/mixed/"))
    check_error(results["1"], 502)
    check_error(results["3"], 502)
    check_error(results["4"], 424)
    assert results["2"].json() == {"fine": 1}


@pytest.mark.parametrize("front", TWO_FRONTS)
def test_many_faults_in_one_batch(front: str, fault_gateway: Gateway) -> None:
    calls: list[Call] = []
    for name in BAD_ANSWERS:
        calls += [Call(name, name), Call(f"fine.{name}", f"fine/{name}")]
    found = statuses(run_batch(front, fault_gateway, calls))
    assert len(found) == len(calls)
    assert {found[name] for name in BAD_ANSWERS} == {502}
    assert {found[f"fine.{name}"] for name in BAD_ANSWERS} == {200}
    fault_gateway.wait_idle()
