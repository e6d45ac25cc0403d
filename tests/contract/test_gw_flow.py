"""Limits, streamed documents and the order of results: rules GW-13, GW-21 and GW-23 of the contract."""

from __future__ import annotations

import contextlib
import json
import threading

import grpc
import h11
import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.batches import (
    GRPC_BATCH,
    GRPC_EXECUTE,
    JSON_FRONTS,
    Call,
    Refused,
    by_id,
    check_error,
    run_batch,
    statuses,
)
from harness.gateway import Gateway
from harness.http2 import Code, Kind, Raw, data, headers, request
from harness.scripted import Reply, ScriptedUpstream, json_reply

STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for n in range(10):
        upstream.on("GET", f"/A({n})")


TOO_MUCH = (400, 413, 429, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


def statuses_or_refusal(front: str, gateway: Gateway, calls: list[Call]) -> dict[str, int] | int | grpc.StatusCode:
    """Statuses by id, or the status with which the batch was refused."""
    try:
        return statuses(run_batch(front, gateway, calls))
    except Refused as refused:
        return refused.status


def gets(count: int) -> list[dict[str, object]]:
    return [rest.get_call(str(n), f"A({n})") for n in range(count)]


def test_GW_13_count_of_requests(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert len(run_batch(front, small_gateway, [Call(str(n), f"A({n})") for n in range(5)])) == 5
    upstream.reset()
    with pytest.raises(Refused) as caught:
        run_batch(front, small_gateway, [Call(str(n), f"A({n})") for n in range(6)])
    assert caught.value.status in TOO_MUCH
    assert upstream.lines == []


@pytest.mark.parametrize("chunked", [False, True])
def test_GW_13_bytes_of_the_request_are_413(chunked: bool, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    document = rest.encode({"@x.pad": "p" * 30_000, "requests": gets(1)})
    with rest.Wire(small_gateway.http_port) as wire:
        if chunked:
            wire.begin("POST", "/svc/$batch", STREAM)
            wire.chunk(document)
        else:
            fields = {"Content-Type": "application/json", "Content-Length": str(len(document)), **rest.STRICT}
            wire.begin("POST", "/svc/$batch", fields)
            wire.send(document)
        answer = wire.answer()
    assert answer.status == 413
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_GW_13_bytes_of_one_call(small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Too large a call fails alone or refuses the batch; it never reaches the upstream."""
    calls = [*gets(1), {"id": "big", "method": "put", "url": "A", "body": {"x": "y" * 5_000}}]
    answer = rest.post(small_gateway.http_port, {"requests": calls})
    if answer.status == 200:
        found = answer.by_id()
        assert found["big"]["status"] in (400, 413)
        assert found["0"]["status"] == 200
    else:
        assert answer.status in (400, 413)
    assert not [line for line in upstream.lines if line.startswith("PUT")]


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_GW_13_bytes_of_one_call_over_grpc(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("0", "A(0)"), Call("big", "A", "PUT", {"content-type": "text/plain"}, b"y" * 5_000)]
    found = statuses_or_refusal(front, small_gateway, calls)
    if isinstance(found, dict):
        assert found["big"] in (400, 413)
        assert found["0"] == 200
    else:
        assert found in TOO_MUCH
    assert not [line for line in upstream.lines if line.startswith("PUT")]


def test_GW_13_bytes_of_an_answer(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/big", Reply(200, [("Content-Type", "text/plain")], b"z" * 6_000))
    upstream.on("GET", "/chunks", Reply(200, [("Content-Type", "text/plain")], b"z" * 6_000, chunked=True))
    results = by_id(run_batch(front, small_gateway, [Call("1", "big"), Call("2", "chunks"), Call("3", "A(1)")]))
    check_error(results["1"], 502)
    check_error(results["2"], 502)
    assert results["3"].status == 200


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_GW_13_nesting_of_the_request(opening: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    closing = "]" if opening == "[" else "}"
    deep = opening * 30 + "1" + closing * 30
    text = f'{{"requests":[{{"id":"1","method":"put","url":"A","body":{deep}}}]}}'.encode()
    answer = rest.post(small_gateway.http_port, text)
    status = answer.by_id()["1"]["status"] if answer.status == 200 else answer.status
    assert status == 400
    assert upstream.lines == []


def test_GW_13_nesting_of_an_answer(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """AN-03: all of it is there, as text where the document cannot hold it, and what follows goes by its status."""
    deep = b"[" * 90 + b"]" * 90
    upstream.on("GET", "/deep", Reply(200, [("Content-Type", "application/json")], deep))
    upstream.on("GET", "/A")
    results = by_id(run_batch(front, small_gateway, [Call("1", "deep"), Call("2", "A", depends_on=["1"])]))
    assert statuses(results.values()) == {"1": 200, "2": 200}
    assert results["1"].body == deep
    assert results["1"].headers["content-type"] == ("text/plain" if front in JSON_FRONTS else "application/json")


def test_GW_13_calls_in_flight(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for n in range(5):
        upstream.on("GET", f"/s{n}", json_reply({}, delay=0.1))
    results = run_batch(front, small_gateway, [Call(str(n), f"s{n}") for n in range(5)])
    assert {result.status for result in results} == {200}
    assert upstream.peak <= 2


def test_GW_13_header_bytes_of_a_call(front: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", headers={"x-big": "v" * 6_000}), Call("2", "A(1)")]
    found = statuses_or_refusal(front, small_gateway, calls)
    if isinstance(found, dict):
        assert found["1"] in (400, 413, 431)
        assert found["2"] == 200
    else:
        assert found in TOO_MUCH
    assert "GET /A" not in upstream.lines


def test_GW_21_a_small_document_is_validated_whole(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", STREAM)
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"A(1)"},')
        assert not upstream.wait_until(lambda: bool(upstream.log), timeout=0.5)
        wire.chunk(b'{"id":"1","method":"get","url":"A(1)"}]}')
        wire.chunk(b"")
        assert wire.answer().status == 400
    assert upstream.lines == []


def test_GW_21_a_streamed_document_starts_each_call_when_it_closes(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", STREAM)
        text = rest.encode({"requests": gets(4)})
        for n in range(4):
            end = text.index(f"A({n})".encode()) + 6
            start = 0 if n == 0 else text.index(f"A({n - 1})".encode()) + 6
            wire.chunk(text[start:end])
            upstream.wait_for_calls(n + 1)
            assert len(upstream.log) == n + 1
        wire.chunk(text[text.index(b"A(3)") + 6 :])
        wire.chunk(b"")
        assert {r["status"] for r in wire.answer().responses} == {200}


def test_GW_21_results_come_before_the_document_ends(gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", STREAM)
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"A(1)"}')
        assert wire.head().status == 200
        body = b""
        while b'"path":"/A(1)"' not in body:
            body += wire.data()
        wire.chunk(b"]}")
        wire.chunk(b"")
        while piece := wire.data():
            body += piece
    assert rest.Answer(200, [], body).by_id()["1"]["status"] == 200


@pytest.mark.parametrize("cut", [1, 3, 10, 17])
def test_GW_21_any_split_gives_the_same(cut: int, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("PUT", "/B", Reply(204, expect_body="grüß".encode()))
    member = {
        "id": "9",
        "method": "put",
        "url": "B",
        "headers": {"content-type": "text/plain"},
        "body": "grüß",
    }
    text = rest.encode({"requests": [*gets(3), member]})
    for root in ("/svc/", "/stream/"):
        with rest.Wire(gateway.http_port) as wire:
            wire.begin("POST", f"{root}$batch", STREAM)
            for at in range(0, len(text), cut):
                wire.chunk(text[at : at + cut])
            wire.chunk(b"")
            found = wire.answer().by_id()
        assert {name: r["status"] for name, r in found.items()} == {"0": 200, "1": 200, "2": 200, "9": 204}


def test_GW_21_an_error_before_anything_was_sent_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The message says how many calls had been started."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", STREAM)
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"held"},')
        upstream.wait_for_calls(1)
        wire.chunk(b'{"id":"1","method":"get","url":"A(1)"}]}')
        wire.chunk(b"")
        threading.Timer(0.5, gate.open).start()
        head = wire.head()
        if head.status == 400:
            error = rest.Answer(400, [], wire.remainder()[0]).json()
            assert rest.is_odata_error(error)
            assert "1" in error["error"]["message"]
            assert head.header("batchwire-calls-started") == "1"
        else:
            remainder, whole = wire.remainder()
            assert not whole, remainder
    assert upstream.lines == ["GET /held"]


@pytest.mark.parametrize("text", [b'{"requests":[', b'{"requests":[{"id":"1","method":"get","url":"A(1)"}'])
def test_GW_21_a_truncated_stream_is_no_whole_answer(text: bytes, gateway: Gateway) -> None:
    answer: rest.Answer | None = None
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", STREAM)
        wire.chunk(text)
        wire.chunk(b"")
        try:
            answer = wire.answer()
        except (h11.RemoteProtocolError, ConnectionError):
            answer = None
    assert answer is None or answer.status == 400


@pytest.mark.parametrize("te", [None, "trailers", "gzip;q=0.5, Trailers"])
def test_GW_21_who_reads_trailers_learns_why_an_answer_is_cut(te: str | None, gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {**STREAM, **({"TE": te} if te else {})})
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"A(1)"},')
        assert wire.head().status == 200
        wire.data()
        wire.chunk(b'{"id":"1","method":"get","url":"\xc3\xa4"}]}')
        wire.chunk(b"")
        ended = None
        with contextlib.suppress(h11.RemoteProtocolError, ConnectionError):
            while not isinstance(ended := wire.event(), h11.EndOfMessage):
                assert b"]}" not in getattr(ended, "data", b"")[-2:]
        if te is None:
            assert not isinstance(ended, h11.EndOfMessage)
        else:
            [(name, value)] = ended.headers
            assert name == b"odata-error"
            assert json.loads(value)["error"]["code"] == "DuplicateId"
            assert wire.closed()


@pytest.mark.parametrize("te", [True, False])
def test_GW_21_so_over_http2(te: bool, gateway: Gateway) -> None:
    fields = [("content-type", "application/json"), ("odata-version", "4.01"), *([("te", "trailers")] if te else [])]
    with Raw(gateway.http_port) as raw:
        raw.send(headers(1, request("POST", "/stream/$batch", *fields), end=False))
        raw.send(data(1, b'{"requests":[{"id":"1","method":"get","url":"A(1)"},'))
        raw.until(lambda frame: frame.kind == Kind.DATA)
        raw.send(data(1, b'{"id":"1","method":"get","url":"x"}]}', end=True))
        answer = raw.answer(1)
        assert not answer.body.endswith(b"]}")
        if te:
            assert answer.reset is None
            assert json.loads(answer.trailers["odata-error"])["error"]["code"] == "DuplicateId"
        else:
            assert (answer.reset, answer.trailers) == (Code.INTERNAL_ERROR, {})


@pytest.mark.both_fronts
def test_GW_21_each_grpc_message_is_checked_whole(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        client.batch(
            [
                grpc_client.message(
                    grpc_client.call("1", "A(1)"), grpc_client.call("a b", "A(2)"), options=grpc_client.options()
                )
            ]
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert upstream.lines == []


SLOW_FIRST = [rest.get_call("1", "slow"), rest.get_call("2", "A(2)"), rest.get_call("3", "A(3)")]


@pytest.mark.parametrize(
    ("version", "prefer", "in_request_order"),
    [
        (rest.STRICT, None, False),
        ({}, None, True),
        (rest.STRICT, "order=request", True),
        ({}, "order=completion", False),
        ({}, 'order="request"', True),
    ],
)
def test_GW_23_order_of_results(
    version: dict[str, str],
    prefer: str | None,
    in_request_order: bool,
    gateway: Gateway,
    upstream: ScriptedUpstream,
) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=0.5))
    fields = {"Prefer": prefer} if prefer else {}
    answer = rest.post(gateway.http_port, {"requests": SLOW_FIRST}, fields, version=version)
    order = [response["id"] for response in answer.responses]
    if in_request_order:
        assert order == ["1", "2", "3"]
    else:
        assert order[-1] == "1"
    if prefer:
        assert prefer.replace('"', "") in (answer.header("preference-applied") or "").replace('"', "")


@pytest.mark.parametrize("choice", ["RESULT_ORDER_UNSPECIFIED", "RESULT_ORDER_COMPLETION", "RESULT_ORDER_REQUEST"])
@pytest.mark.both_fronts
def test_GW_23_order_over_grpc(choice: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=0.5))
    calls = [grpc_client.call("1", "slow"), grpc_client.call("2", "A(2)"), grpc_client.call("3", "A(3)")]
    choices = grpc_client.options(result_order=batch_pb2.ResultOrder.Value(choice))
    with grpc_client.Client(gateway.grpc_address) as client:
        streamed = [r.id for r in grpc_client.results_of(client.batch([grpc_client.message(*calls, options=choices)]))]
        at_once = [r.id for r in client.execute(batch_pb2.ExecuteRequest(calls=calls, options=choices)).results]
    for order in (streamed, at_once):
        if choice == "RESULT_ORDER_REQUEST":
            assert order == ["1", "2", "3"]
        else:
            assert order[-1] == "1"


@pytest.mark.both_fronts
def test_GW_23_the_first_result_does_not_wait_for_the_last(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    with grpc_client.Client(gateway.grpc_address) as client:
        calls = [grpc_client.call("1", "held"), grpc_client.call("2", "A(2)")]
        stream = client.stub.Batch(iter([grpc_client.message(*calls, options=grpc_client.options())]), timeout=20)
        first = next(stream)
        assert [result.id for result in first.results] == ["2"]
        assert not first.HasField("summary")
        gate.open()
        rest_of_it = list(stream)
    assert [result.id for result in grpc_client.results_of(rest_of_it)] == ["1"]
    assert rest_of_it[-1].summary.calls == 2


def test_GW_23_a_full_window_never_stops_the_batch(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """More calls than the window holds wait behind a slow first one; all results come, in order."""
    upstream.on("GET", "/slow", json_reply({}, delay=0.3))
    calls = [rest.get_call("first", "slow"), *(rest.get_call(str(n), "A(1)") for n in range(12_000))]
    answer = rest.post(gateway.http_port, {"requests": calls}, {"Prefer": "order=request"})
    assert [found["id"] for found in answer.json()["responses"]] == [call["id"] for call in calls]


def test_GW_23_what_the_window_lets_go_is_sent_at_once(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The first result comes last but one; those it held back are sent with it, not with the last."""
    gate = upstream.gate()
    upstream.on("GET", "/slow", json_reply({}, delay=0.2))
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    calls = [rest.get_call("0", "slow"), rest.get_call("1", "A(1)"), rest.get_call("2", "held")]
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        wire.chunk(rest.encode({"requests": calls}))
        wire.send(b"0\r\n\r\n")
        assert wire.head().status == 200
        early = b""
        while b'"id":"1"' not in early:
            early += wire.data()
        assert b'"id":"2"' not in early
        gate.open()
        late, whole = wire.remainder()
    assert whole
    assert [found["id"] for found in json.loads(early + late)["responses"]] == ["0", "1", "2"]
