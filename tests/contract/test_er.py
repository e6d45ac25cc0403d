"""Errors: rules ER-01 to ER-08 of the contract."""

from __future__ import annotations

import grpc
import pytest
from harness import grpc_client, rest
from harness.batches import JSON_FRONTS, REST, Call, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply, odata_error


def test_ER_01_gateway_made_errors_are_odata_errors(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("0", "ok"),
        Call("400", "A", "TRACE"),
        Call("424", "A", depends_on=["400"]),
        Call("g1", "A", group="g"),
        Call("g2", "A", group="g"),
    ]
    results = by_id(run_batch(front, gateway, calls))
    check_error(results["400"], 400)
    check_error(results["424"], 424)
    check_error(results["g1"], 501)
    assert upstream.lines == ["GET /ok"]
    for name in ("400", "424", "g1"):
        assert results[name].headers.get("content-type", "application/json").startswith("application/json")


def test_ER_01_outer_errors_are_odata_errors(gateway: Gateway) -> None:
    answers = [
        rest.post(gateway.http_port, b"{"),
        rest.post(gateway.http_port, b"<x/>", {"Content-Type": "application/xml"}),
        rest.post(gateway.http_port, {"requests": []}, {"Accept": "text/csv"}),
        rest.post(gateway.http_port, {"requests": []}, root="/nowhere/"),
    ]
    assert [answer.status for answer in answers] == [400, 415, 406, 404]
    assert all(rest.is_odata_error(answer.json()) for answer in answers)
    assert all((answer.header("content-type") or "").startswith("application/json") for answer in answers)


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_ER_02_content_language_of_messages(front: str, gateway: Gateway) -> None:
    [result] = run_batch(front, gateway, [Call("1", "A", "TRACE")])
    if front == REST:
        answer = rest.post(gateway.http_port, {"requests": [{"id": "1", "method": "trace", "url": "A"}]})
        assert result.headers.get("content-language") or answer.header("content-language")
        assert rest.post(gateway.http_port, b"{").header("content-language")
    else:
        assert result.headers.get("content-language")


def test_ER_03_a_refused_group_changes_nothing(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", "POST", group="g", body=b"{}"), Call("2", "B", "PATCH", group="g", body=b"{}")]
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {501}
    assert upstream.lines == []


@pytest.mark.parametrize("path", ["/svc/$batch", "/svc/%24batch"])
def test_ER_04_405_has_allow(path: str, gateway: Gateway) -> None:
    answer = rest.request(gateway.http_port, "DELETE", path)
    assert answer.status == 405
    assert "POST" in (answer.header("allow") or "")


def test_ER_04_an_upstreams_405_keeps_allow(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("DELETE", "/A", odata_error(405, headers=[("Allow", "GET, POST")]))
    [result] = run_batch(front, gateway, [Call("1", "A", "DELETE")])
    assert (result.status, result.headers["allow"]) == (405, "GET, POST")


def test_ER_05_501_explains_itself(front: str, gateway: Gateway) -> None:
    calls = [Call("1", "A", group="g"), Call("2", "B", group="g")]
    results = run_batch(front, gateway, calls)
    for result in results:
        check_error(result, 501)
        assert len(result.json()["error"]["message"]) > 20


def test_ER_06_a_424_request_never_reaches_the_upstream(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/bad", odata_error(503))
    calls = [Call("1", "bad"), Call("2", "A", "DELETE", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 503, "2": 424}
    assert upstream.lines == ["GET /bad"]


def test_ER_07_a_late_envelope_error_leaves_the_body_malformed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with rest.Wire(gateway.http_port) as wire:
        fields = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
        wire.begin("POST", "/stream/$batch", fields)
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"A"},')
        head = wire.head()
        assert head.status == 200
        body = bytearray()
        while b'"path":"/A"' not in body:
            body += wire.data()
        wire.chunk(b'{"id":"1","method":"get","url":"A"}]}')
        remainder, whole = wire.remainder()
        body += remainder
    assert not whole, bytes(body)
    assert not body.rstrip().endswith(b"]}")
    assert upstream.lines == ["GET /A"]


@pytest.mark.both_fronts
def test_ER_07_grpc_ends_with_invalid_argument_after_the_results(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    feed = grpc_client.Feed()
    with grpc_client.Client(gateway.grpc_address) as client:
        stream = client.stub.Batch(iter(feed), timeout=20)
        feed.put(grpc_client.message(grpc_client.call("1", "A"), options=grpc_client.options()))
        first = next(stream)
        assert [result.id for result in first.results] == ["1"]
        feed.put(grpc_client.message(grpc_client.call("2", "A"), grpc_client.call("1", "A")))
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        feed.close()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize("status", [412, 428])
def test_ER_08_etag_failures_pass_through(
    status: int, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("PATCH", "/A", odata_error(status))
    upstream.on("GET", "/B", json_reply({}))
    calls = [Call("1", "A", "PATCH", body=b"{}"), Call("2", "B", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status == status
    assert results["1"].json()["error"]["code"] == "Broken"
    check_error(results["2"], 424)
