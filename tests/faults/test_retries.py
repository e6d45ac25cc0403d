"""A connection that the upstream closed while it was idle: what may be sent again, and what may not."""

from __future__ import annotations

import pytest
from harness.batches import GRPC_BATCH, REST, Call, check_error, run_batch
from harness.faulty import FaultyUpstream
from harness.gateway import Gateway

TWO_FRONTS = [REST, GRPC_BATCH]


def spoil(front: str, gateway: Gateway) -> None:
    """Leaves only connections in the pool that the upstream will close under the next request."""
    [result] = run_batch(front, gateway, [Call("1", "close-when-reused")])
    assert result.status == 200


def empty_pool(gateway: Gateway) -> None:
    """Has every pooled connection closed: each answers once more with `Connection: close`."""

    def pooled() -> int:
        return int(gateway.metrics()['batchwire_upstream_connections{upstream="faulty"}'])

    for _ in range(200):
        if pooled() == 0:
            return
        run_batch(REST, gateway, [Call(str(n), "connection-close") for n in range(pooled())])
    raise AssertionError(f"{pooled()} connections stay in the pool")


@pytest.mark.parametrize("front", TWO_FRONTS)
def test_a_get_on_a_stale_connection_is_sent_again(front: str, fault_gateway: Gateway, faulty: FaultyUpstream) -> None:
    empty_pool(fault_gateway)
    spoil(front, fault_gateway)
    faulty.calls.clear()
    [result] = run_batch(front, fault_gateway, [Call("1", "fine/again")])
    assert (result.status, result.json()) == (200, {"fine": 1})
    assert faulty.calls["GET /fine/again"] == 2


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_write_that_was_sent_is_never_sent_again(
    method: str, front: str, fault_gateway: Gateway, faulty: FaultyUpstream
) -> None:
    empty_pool(fault_gateway)
    spoil(front, fault_gateway)
    faulty.calls.clear()
    [result] = run_batch(front, fault_gateway, [Call("1", "fine/once", method, body=b"{}")])
    assert faulty.calls[f"{method} /fine/once"] == 1
    check_error(result, 502)


@pytest.mark.parametrize("front", TWO_FRONTS)
@pytest.mark.parametrize("name", ["close-at-once", "reset-before-head", "eof-mid-body", "garbage"])
def test_a_post_reaches_the_upstream_once(
    name: str, front: str, fault_gateway: Gateway, faulty: FaultyUpstream
) -> None:
    faulty.calls.clear()
    [result] = run_batch(front, fault_gateway, [Call("1", f"{name}/p", "POST", body=b"{}")])
    check_error(result, 502)
    assert faulty.calls[f"POST /{name}/p"] == 1


def test_retries_of_a_get_have_an_end(fault_gateway: Gateway, faulty: FaultyUpstream) -> None:
    faulty.calls.clear()
    [result] = run_batch(REST, fault_gateway, [Call("1", "close-at-once/g")])
    check_error(result, 502)
    assert faulty.calls["GET /close-at-once/g"] <= 3


def test_half_an_answer_is_never_asked_for_again(fault_gateway: Gateway, faulty: FaultyUpstream) -> None:
    faulty.calls.clear()
    [result] = run_batch(REST, fault_gateway, [Call("1", "eof-mid-body/g")])
    check_error(result, 502)
    assert faulty.calls["GET /eof-mid-body/g"] == 1
