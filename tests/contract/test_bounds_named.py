"""Whoever is beyond a bound is told its key and its value: GW-13."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from batchwire.client._codec import MAX_CALLS, MAX_EXECUTE_CALLS
from batchwire.core import Limits
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.batches import GRPC_BATCH, REST, Call, Refused, run_batch
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream

CALL_BYTES = "limits.max_call_bytes (4000 bytes)"
HEADER_BYTES = "limits.max_header_bytes (4096 bytes)"
MULTIPART = {"Content-Type": "multipart/mixed; boundary=b"}
HEAD = b"--b\r\nContent-Type: application/http\r\n\r\nPOST A HTTP/1.1\r\n"


def rest_said(gateway: Gateway, body: bytes, fields: dict[str, str]) -> str:
    answer = rest.post(gateway.http_port, body, fields)
    assert answer.status in (400, 413)
    return str(answer.json()["error"]["message"])


def grpc_said(gateway: Gateway, *calls: Any) -> str:
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        client.batch(
            [
                grpc_client.message(calls[0], options=grpc_client.options()),
                *(grpc_client.message(call) for call in calls[1:]),
            ]
        )
    return str(caught.value.details())  # type: ignore[attr-defined]


SAID: dict[str, tuple[Callable[[Gateway], str], str]] = {
    "JSON": (
        lambda gateway: rest_said(gateway, b'{"requests":[{"id":"1","url":"%s"}]}' % (b"x" * 4_000), {}),
        CALL_BYTES,
    ),
    "nesting": (
        lambda gateway: rest_said(gateway, b'{"requests":[{"body":%s' % (b"[" * 600), {}),
        "limits.max_depth (8)",
    ),
    "multipart": (
        lambda gateway: rest_said(gateway, HEAD + b"\r\n" + b"x" * 4_000 + b"\r\n--b--\r\n", MULTIPART),
        CALL_BYTES,
    ),
    "head of a part": (
        lambda gateway: rest_said(gateway, b"--b\r\nContent-Type: application/http\r\nX: " + b"x" * 4_100, MULTIPART),
        HEADER_BYTES,
    ),
    "protobuf": (lambda gateway: grpc_said(gateway, grpc_client.call("1", "A", "PUT", body=b"x" * 4_000)), CALL_BYTES),
    "parts of a body": (
        lambda gateway: grpc_said(
            gateway,
            grpc_client.call("1", "A", "PUT", body=b"x" * 3_000, body_continues=True),
            grpc_client.call("1", "", "", body=b"x" * 3_000),
        ),
        CALL_BYTES,
    ),
    "a batch that says its size": (
        lambda gateway: rest_said(gateway, b" " * 20_001, {}),
        "limits.max_request_bytes (20000 bytes)",
    ),
}


@pytest.mark.both_fronts
@pytest.mark.parametrize("name", SAID)
def test_GW_13_a_bound_of_the_batch(name: str, small_gateway: Gateway) -> None:
    ask, bound = SAID[name]
    assert bound in ask(small_gateway)


def test_GW_13_a_batch_that_does_not_say_its_size(small_gateway: Gateway) -> None:
    with rest.Wire(small_gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        wire.chunk(b" " * 20_001)
        assert "limits.max_request_bytes (20000 bytes)" in wire.answer().json()["error"]["message"]


def test_GW_13_a_message_of_grpc(small_gateway: Gateway) -> None:
    said = grpc_said(small_gateway, grpc_client.call("1", "A", "PUT", body=bytes(4 << 20)))
    assert "limits.grpc_max_message_bytes (4194304 bytes)" in said


@pytest.mark.both_fronts
@pytest.mark.parametrize("method", ["Batch", "Execute"])
def test_GW_13_calls_of_a_message(method: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """As many as the bound are taken, and one more costs the batch before any of the message runs."""
    bound = Limits().max_calls_per_message
    upstream.on("GET", "/A")
    calls = [grpc_client.call(str(number), "A", "TRACE") for number in range(bound)]
    with grpc_client.Client(gateway.grpc_address) as client:
        if method == "Batch":
            results = grpc_client.results_of(client.batch([grpc_client.message(*calls, options=grpc_client.options())]))
            assert len(results) == bound
        more = [*calls, grpc_client.call("more", "A")]
        execute = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=more)
        batch = [grpc_client.message(*more, options=grpc_client.options())]
        with pytest.raises(grpc.RpcError) as caught:
            client.batch(batch) if method == "Batch" else client.execute(execute)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    assert f"{bound} calls (limits.max_calls_per_message)" in caught.value.details()  # type: ignore[attr-defined]
    assert upstream.lines == []


@pytest.mark.parametrize("most", [MAX_CALLS, MAX_EXECUTE_CALLS])
def test_GW_13_the_python_client_keeps_to_it(most: int) -> None:
    assert most <= Limits().max_calls_per_message


@pytest.mark.parametrize("front", [REST, GRPC_BATCH])
def test_GW_13_calls_of_a_batch(front: str, small_gateway: Gateway) -> None:
    with pytest.raises(Refused, match=r"5 calls \(limits.max_calls\)"):
        run_batch(front, small_gateway, [Call(str(number), "A") for number in range(6)])


def test_GW_13_a_body_that_is_decoded(small_gateway: Gateway) -> None:
    packed = base64.urlsafe_b64encode(gzip.compress(b"x" * 5_000)).decode()
    fields = {"transfer-encoding": "gzip", "content-type": "application/octet-stream"}
    call = {"id": "1", "method": "put", "url": "A", "headers": fields, "body": packed}
    answer = rest.post(small_gateway.http_port, {"requests": [call]})
    error = answer.by_id()["1"]
    assert (error["status"], CALL_BYTES in error["body"]["error"]["message"]) == (413, True)
