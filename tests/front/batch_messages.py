"""Batches as bytes of protobuf, for the tests that send them by hand."""

from __future__ import annotations

from typing import Any

from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from harness import grpc_client, rest
from harness.grpc_wire import GrpcAnswer

ROUTE = [("batchwire-route", "/svc/")]


def execute(*names: str, route: str = "/svc/", url: str = "A", **more: Any) -> bytes:
    """An ExecuteRequest of GETs with these ids."""
    calls = [grpc_client.call(name, url, **more) for name in names]
    made = batch_pb2.ExecuteRequest(calls=calls, options=grpc_client.options(route))
    return bytes(made.SerializeToString())


def batch(*names: str, first: bool = True, url: str = "A", route: str = "/svc/") -> bytes:
    """A BatchRequest of GETs with these ids."""
    options = grpc_client.options(route) if first else None
    made = grpc_client.message(*(grpc_client.call(name, url) for name in names), options=options)
    return bytes(made.SerializeToString())


def document(*names: str, url: str = "A") -> bytes:
    """An HttpBody with a JSON batch of GETs with these ids."""
    data = rest.encode({"requests": [rest.get_call(name, url) for name in names]})
    return bytes(HttpBody(content_type="application/json", data=data).SerializeToString())


def executed(answer: GrpcAnswer) -> dict[str, int]:
    """Statuses by id of an Execute that went well."""
    assert answer.code == 0, answer
    [message] = answer.messages
    return {result.id: result.status for result in batch_pb2.ExecuteResponse.FromString(message).results}


def streamed(answer: GrpcAnswer) -> dict[str, int]:
    """Statuses by id of a Batch that went well; its summary must count them."""
    assert answer.code == 0, answer
    messages = [batch_pb2.BatchResponse.FromString(message) for message in answer.messages]
    found = grpc_client.results_of(messages)
    assert messages[-1].summary.calls == len(found)
    return {result.id: result.status for result in found}


def reason(answer: GrpcAnswer) -> str:
    """The code of the error that ended a call, as its details have it."""
    assert answer.details is not None
    assert (answer.details.code, answer.details.message) == (answer.code, answer.message)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in answer.details.details)
    assert info.domain == "batchwire"
    return str(info.reason)
