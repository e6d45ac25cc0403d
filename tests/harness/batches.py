"""The same batch over every front: `run_batch(front, gateway, calls)`.

Calls and results are plain data classes here, so that one test states a rule once for REST JSON,
gRPC Batch, gRPC Execute and gRPC BatchJson. Must never soften what a front answered: an envelope
that the gateway refuses raises `Refused`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from batchwire.v1 import batch_pb2
from google.protobuf import duration_pb2

from . import grpc_client, rest
from .gateway import Gateway

REST = "rest-json"
GRPC_BATCH = "grpc-batch"
GRPC_EXECUTE = "grpc-execute"
GRPC_JSON = "grpc-json"
FRONTS = (REST, GRPC_BATCH, GRPC_EXECUTE, GRPC_JSON)
JSON_FRONTS = (REST, GRPC_JSON)


@dataclass
class Call:
    """One call. `body` is bytes; how it looks in JSON follows from the content-type (JB-23 to JB-25)."""

    id: str
    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    depends_on: list[str] = field(default_factory=list)
    group: str = ""
    condition: str | None = None
    timeout: float | None = None


@dataclass
class Result:
    """One result, with lower-case header names. `body` is what the upstream's body means as bytes."""

    id: str
    status: int
    headers: dict[str, str]
    body: bytes | None
    group: str

    def json(self) -> Any:
        assert self.body is not None, f"{self.id} has no body"
        return json.loads(self.body)

    @property
    def is_error(self) -> bool:
        return self.body is not None and rest.is_odata_error(self.json())


class Refused(Exception):
    """The gateway refused the batch as a whole: an outer HTTP error or a gRPC status."""

    def __init__(self, status: int | grpc.StatusCode, details: str) -> None:
        super().__init__(f"{status}: {details}")
        self.status = status
        self.details = details

    @property
    def bad_envelope(self) -> bool:
        return self.status in (400, grpc.StatusCode.INVALID_ARGUMENT)


def kind_of(content_type: str | None) -> str:
    """json, text or binary: the three body forms of the JSON format."""
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        return "json"
    return "text" if media.startswith("text/") else "binary"


def to_json_member(call: Call) -> dict[str, Any]:
    """The JSON request object of a call."""
    member: dict[str, Any] = {"id": call.id, "method": call.method.lower(), "url": call.url}
    if call.headers:
        member["headers"] = dict(call.headers)
    if call.body is not None:
        types = {name.lower(): value for name, value in call.headers.items()}
        kind = kind_of(types.get("content-type"))
        if kind == "json":
            member["body"] = json.loads(call.body)
        elif kind == "text":
            member["body"] = call.body.decode()
        else:
            member["body"] = base64.urlsafe_b64encode(call.body).decode().rstrip("=")
    if call.depends_on:
        member["dependsOn"] = list(call.depends_on)
    if call.group:
        member["atomicityGroup"] = call.group
    if call.condition is not None:
        member["if"] = call.condition
    return member


def decode_base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def from_json_member(member: Mapping[str, Any]) -> Result:
    headers = {name.lower(): value for name, value in member.get("headers", {}).items()}
    assert isinstance(member["status"], int), member
    body: bytes | None = None
    if member.get("body") is not None:
        kind = kind_of(headers.get("content-type"))
        value = member["body"]
        if kind == "json":
            body = rest.encode(value)
        else:
            assert isinstance(value, str), member
            body = value.encode() if kind == "text" else decode_base64url(value)
    return Result(member["id"], member["status"], headers, body, member.get("atomicityGroup", ""))


def to_proto(call: Call) -> Any:
    made = grpc_client.call(
        call.id,
        call.url,
        call.method,
        headers=call.headers,
        body=call.body,
        depends_on=call.depends_on,
        atomicity_group=call.group,
        condition=call.condition,
    )
    if call.timeout is not None:
        made.timeout.CopyFrom(duration(call.timeout))
    return made


def duration(seconds: float) -> duration_pb2.Duration:
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))


def from_proto(result: Any) -> Result:
    headers: dict[str, str] = {}
    for item in result.headers:
        name = item.name.lower()
        headers[name] = f"{headers[name]}, {item.value}" if name in headers else item.value
    body = result.body if result.HasField("body") else None
    return Result(result.id, result.status, headers, body, result.atomicity_group)


def run_batch(
    front: str,
    gateway: Gateway,
    calls: Iterable[Call],
    *,
    route: str = "/svc/",
    continue_on_error: bool | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> list[Result]:
    """Runs the calls as one batch and gives the results in the order they came.

    `headers` are outer headers: HTTP headers, gRPC metadata of BatchJson, BatchOptions.headers.
    """
    given = list(calls)
    outer = dict(headers or {})
    if front in JSON_FRONTS:
        if continue_on_error is not None:
            outer["Prefer"] = f"continue-on-error={str(continue_on_error).lower()}"
        document = rest.encode({"requests": [to_json_member(call) for call in given]})
        body = _json_answer(front, gateway, document, outer, route, timeout)
        return [from_json_member(member) for member in json.loads(body)["responses"]]
    choices = batch_pb2.BatchOptions(
        route=route,
        headers=[batch_pb2.Header(name=name, value=value) for name, value in outer.items()],
        continue_on_error=continue_on_error,
    )
    protos = [to_proto(call) for call in given]
    with grpc_client.Client(gateway.grpc_address) as client:
        try:
            if front == GRPC_EXECUTE:
                answer = client.execute(batch_pb2.ExecuteRequest(options=choices, calls=protos), timeout)
                found, summary = list(answer.results), answer.summary
            else:
                messages = client.batch([grpc_client.message(*protos, options=choices)], timeout)
                found, summary = grpc_client.results_of(messages), messages[-1].summary
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details() or "") from None
    assert summary.calls == len(found), "the summary does not count the results"
    return [from_proto(result) for result in found]


def _json_answer(
    front: str, gateway: Gateway, document: bytes, outer: Mapping[str, str], route: str, timeout: float
) -> bytes:
    if front == REST:
        answer = rest.post(gateway.http_port, document, outer, root=route)
        if answer.status != 200:
            raise Refused(answer.status, answer.body.decode())
        return answer.body
    metadata = [(n.lower(), v) for n, v in {**rest.STRICT, "batchwire-route": route, **outer}.items()]
    with grpc_client.Client(gateway.grpc_address) as client:
        try:
            return client.batch_json([document], metadata, timeout)
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details() or "") from None


def by_id(results: Iterable[Result]) -> dict[str, Result]:
    """Results by id; an id that came twice is an error."""
    listed = list(results)
    found = {result.id: result for result in listed}
    assert len(found) == len(listed), f"an id came twice: {[r.id for r in listed]}"
    return found


def statuses(results: Iterable[Result]) -> dict[str, int]:
    return {name: result.status for name, result in by_id(results).items()}


def check_error(result: Result, status: int) -> None:
    """The call failed with this status and an OData error object (ER-01)."""
    assert result.status == status, f"{result.id}: {result.status} {result.body!r}"
    assert result.is_error, f"{result.id}: no OData error object: {result.body!r}"
