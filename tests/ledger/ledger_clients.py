"""Sends a planned batch in its dialect over the real fronts, as the harness's clients write and read it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import grpc
from batchwire.v1 import batch_pb2
from google.api import httpbody_pb2
from harness import batches, dialects, documents, grpc_client, multiparts, rest
from harness.batches import Call, Refused, Result
from harness.dialects import Step
from harness.gateway import Gateway
from ledger_batches import Planned

COMPATIBLE = {"OData-Version": "4.0"}


def json_document(batch: Planned) -> bytes:
    return rest.encode({"requests": [batches.to_json_member(call) for call in batch.calls]})


def google_document(batch: Planned) -> bytes:
    parts = []
    for call in batch.calls:
        fields = [f"{name}: {value}" for name, value in call.headers.items() if name != "content-type"]
        line = f"{call.method} /{call.url}"
        text = (call.body or b"").decode()
        parts.append(dialects.google_part(f"<{call.id}>", line, *fields, body=text))
    return dialects.google_document(*parts)


def step_document(batch: Planned) -> bytes:
    found = []
    for call in batch.calls:
        headers = tuple(f"{name}: {value}" for name, value in call.headers.items())
        found.append(Step(call.id, call.url, call.method, ",".join(call.depends_on), headers, call.body or b""))
    return dialects.steps(*found)


def outer(batch: Planned) -> dict[str, str]:
    return {"Authorization": f"Bearer {batch.tenant}", "Accept-Language": batch.tenant}


def document_of(batch: Planned) -> tuple[str, bytes, str, dict[str, str]]:
    """Dialect, document, its type and the outer headers."""
    if batch.dialect.startswith("multipart"):
        headers = {**rest.STRICT, "Accept": "multipart/mixed", "Prefer": "continue-on-error", **outer(batch)}
        return "odata", multiparts.document_of(batch.items), documents.MULTIPART, headers
    if batch.dialect.startswith("google"):
        return "google", google_document(batch), dialects.GOOGLE_TYPE, outer(batch)
    if batch.dialect.startswith("document"):
        return "document", step_document(batch), dialects.DOCUMENT_TYPE, outer(batch)
    version = COMPATIBLE if batch.dialect == "json-compatible" else rest.STRICT
    return "odata", json_document(batch), documents.JSON, {**version, **outer(batch)}


def read(batch: Planned, answer: rest.Answer) -> list[Result]:
    if batch.dialect.startswith("google"):
        return [
            Result((p.content_id or "").removeprefix("<response-").removesuffix(">"), p.status, lowered(p), p.body, "")
            for p in dialects.read_google(answer)
        ]
    if batch.dialect.startswith("document"):
        return [
            Result(dialects.request_id(p), p.status, lowered(p), p.body, "") for p in dialects.read_document(answer)
        ]
    if batch.dialect.startswith("multipart"):
        return [
            documents.result_of(one)
            for found in documents.read(answer)
            for one in ([found] if found.members is None else found.members)
        ]
    return [batches.from_json_member(member) for member in answer.responses]


def lowered(part: multiparts.Part) -> dict[str, str]:
    return {name.lower(): value for name, value in part.headers}


def run(gateway: Gateway, batch: Planned) -> list[Result] | None:
    """The results, or None where the client went before they came."""
    if batch.dialect in ("grpc-batch", "grpc-execute"):
        return _protobuf(gateway, batch)
    dialect, text, media, headers = document_of(batch)
    if batch.dialect.endswith("-grpc") or batch.dialect.startswith("grpc-"):
        return _documents(gateway, batch, dialect, text, media, headers)
    method, path = dialects.PATHS.get(dialect, ("POST", "$batch"))
    fields = {"Content-Type": media, "Content-Length": str(len(text)), **headers}
    with rest.Wire(gateway.http_port, timeout=60) as wire:
        wire.begin(method, f"{batch.route}{path}", fields)
        if batch.cancel is not None:
            with contextlib.suppress(ConnectionError):
                wire.send(text if batch.cancel else text[: len(text) // 2])
            time.sleep(batch.cancel)
            wire.reset()
            return None
        wire.send(text)
        answer = wire.answer()
    if answer.status != 200:
        raise Refused(answer.status, answer.body.decode())
    return read(batch, answer)


def _metadata(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers.items()]


def _ended(batch: Planned, call: Any) -> list[Any] | None:
    """All messages of an RPC; None where the client ends it before."""
    if batch.cancel is not None:
        time.sleep(batch.cancel)
        call.cancel()
    try:
        return list(call)
    except grpc.RpcError as error:
        if batch.cancel is not None:
            return None
        raise Refused(error.code(), error.details() or "") from None


def _protobuf(gateway: Gateway, batch: Planned) -> list[Result] | None:
    options = batch_pb2.BatchOptions(route=batch.route)
    calls: list[Call] = batch.calls
    protos = [batches.to_proto(call) for call in calls]
    with grpc_client.Client(gateway.grpc_address) as client:
        metadata = _metadata(outer(batch))
        if batch.dialect == "grpc-execute" and batch.cancel is None:
            message = batch_pb2.ExecuteRequest(options=options, calls=protos)
            try:
                return [batches.from_proto(one) for one in client.execute(message, 60, metadata).results]
            except grpc.RpcError as error:
                raise Refused(error.code(), error.details() or "") from None
        half = len(protos) // 2
        sent = [
            batch_pb2.BatchRequest(options=options, calls=protos[:half]),
            batch_pb2.BatchRequest(calls=protos[half:]),
        ]
        messages = _ended(batch, client.stub.Batch(iter(sent), timeout=60, metadata=metadata))
    return None if messages is None else [batches.from_proto(one) for one in grpc_client.results_of(messages)]


def _documents(
    gateway: Gateway, batch: Planned, dialect: str, text: bytes, media: str, headers: dict[str, str]
) -> list[Result] | None:
    metadata = _metadata({**headers, "batchwire-route": batch.route, "batchwire-dialect": dialect})
    cuts = [text[at : at + 5000] for at in range(0, len(text), 5000)]
    sent = [httpbody_pb2.HttpBody(content_type="" if n else media, data=cut) for n, cut in enumerate(cuts)]
    with grpc_client.Client(gateway.grpc_address) as client:
        name = "BatchJson" if batch.dialect == "grpc-json" else "BatchHttp"
        messages = _ended(batch, getattr(client.stub, name)(iter(sent), timeout=60, metadata=metadata))
    if messages is None:
        return None
    kind = next((message.content_type for message in messages if message.content_type), media)
    return read(batch, rest.Answer(200, [("content-type", kind)], b"".join(message.data for message in messages)))
