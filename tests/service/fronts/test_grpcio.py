"""The gRPC front on the wire: what is no message of ours is told to the client, and to nobody else."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream

BAD = b"\x0a\xff\xff\xff\xff\x7fno protobuf"
GOOD = HttpBody(content_type="application/json", data=b'{"requests":[').SerializeToString()
METADATA = (("batchwire-route", "/svc/"),)


def answers(channel: grpc.Channel, method: str, messages: list[bytes]) -> list[bytes]:
    """What a method answers to raw messages."""
    path = f"/batchwire.v1.BatchService/{method}"
    if method == "Execute":
        return [channel.unary_unary(path)(messages[0], timeout=10, metadata=METADATA)]
    return list(channel.stream_stream(path)(iter(messages), timeout=10, metadata=METADATA))


def refusal(gateway: Gateway, method: str, messages: list[bytes]) -> Any:
    """How the RPC failed."""
    with grpc_client.channel(gateway.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        answers(channel, method, messages)
    return caught.value


@pytest.mark.parametrize(
    ("method", "messages"),
    [
        ("Batch", [BAD]),
        ("Execute", [BAD]),
        ("BatchJson", [BAD]),
        ("BatchHttp", [BAD]),
        ("BatchJson", [GOOD, BAD]),
        ("BatchHttp", [GOOD, BAD]),
    ],
)
@pytest.mark.both_fronts
def test_a_malformed_message_is_invalid_argument(method: str, messages: list[bytes], gateway: Gateway) -> None:
    logged = len(gateway.logs())
    error = refusal(gateway, method, messages)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert (info.reason, info.domain) == ("BadMessage", "batchwire")
    assert not [entry for entry in gateway.logs()[logged:] if "raw" in entry or entry.get("level") == "error"]


@pytest.mark.both_fronts
def test_a_document_after_a_malformed_one_is_taken(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    refusal(gateway, "BatchJson", [BAD])
    document = rest.encode({"requests": [rest.get_call("1", "A")]})
    with grpc_client.Client(gateway.grpc_address) as client:
        answer = client.batch_json([document[:9], document[9:]], [*METADATA])
    assert b'"status":200' in answer
