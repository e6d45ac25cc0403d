"""Batches in the document and Google dialects, over REST and over gRPC BatchHttp, and their answers.

Written as the SDKs write them and read as the SDKs read them (clients.md 1a, 1b and 3), so that what passes here
passes there. Must never use the gateway's own reader or writer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from . import documents, rest
from .gateway import Gateway
from .multiparts import Part, boundary_of, cut, document, read_part

DOCUMENT_TYPE = 'multipart/form-data; boundary="b"'
DOCUMENT_PART = b"Content-Disposition: form-data; \r\nContent-Type: application/http; msgtype=request\r\n"
GOOGLE_BOUNDARY = b"===============3849759159249811694=="
GOOGLE_TYPE = f'multipart/mixed; boundary="{GOOGLE_BOUNDARY.decode()}"'
PATHS = {"document": ("PUT", "batch"), "google": ("POST", "batch/thing/v1")}


@dataclass
class Step:
    """One call of a document batch. `after`: value of DependsOn."""

    id: str
    url: str
    method: str = "GET"
    after: str = ""
    headers: tuple[str, ...] = ()
    body: bytes = b""


def step_part(step: Step) -> bytes:
    """The part of a step: no HTTP version, but a space where it would stand."""
    lines = [f"{step.method} {step.url} ", *step.headers, f"RequestId: {step.id}"]
    if step.after:
        lines.append(f"DependsOn: {step.after}")
    return DOCUMENT_PART + b"\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + step.body


def steps(*items: Step) -> bytes:
    """A whole document batch."""
    return document(*map(step_part, items))


def google_part(name: str, line: str, *headers: str, body: str = "") -> bytes:
    """A part as the Google client writes it; bare LF comes with google_document()."""
    head = [
        "Content-Type: application/http",
        "MIME-Version: 1.0",
        "Content-Transfer-Encoding: binary",
        f"Content-ID: {name}",
    ]
    message = [f"{line} HTTP/1.1", "Content-Type: application/json", "MIME-Version: 1.0", *headers]
    return "\n".join([*head, "", *message, "", body]).encode()


def google_document(*parts: bytes) -> bytes:
    """A whole Google batch, its lines ended by LF alone."""
    return document(*parts, boundary=GOOGLE_BOUNDARY).replace(b"\r\n", b"\n")


def ask(
    dialect: str,
    way: str,
    gateway: Gateway,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    route: str = "/svc/",
    query: str = "",
    pieces: int = 0,
) -> rest.Answer:
    """The answer to a batch; raises documents.Refused for one that is not taken. A query can be said over REST only."""
    outer = dict(headers or {})
    if way == documents.GRPC:
        assert not query
        outer["batchwire-dialect"] = dialect
        return documents.send(way, gateway, body, content_type, outer, route=route, version={}, pieces=pieces)
    answer = raw(dialect, gateway, body, content_type, outer, route=route, query=query, pieces=pieces)
    if answer.status != 200:
        raise documents.Refused(answer.status, answer.body.decode())
    return answer


def raw(
    dialect: str,
    gateway: Gateway,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    route: str = "/svc/",
    query: str = "",
    pieces: int = 0,
) -> rest.Answer:
    """The answer over REST, whatever its status."""
    method, path = PATHS[dialect]
    fields = {"Content-Type": content_type, **(headers or {})}
    if not pieces:
        return rest.request(gateway.http_port, method, f"{route}{path}{query}", fields, body)
    with rest.Wire(gateway.http_port) as wire:
        wire.begin(method, f"{route}{path}{query}", {**fields, "Transfer-Encoding": "chunked"})
        for at in range(0, len(body), pieces):
            wire.chunk(body[at : at + pieces])
        wire.chunk(b"")
        return wire.answer()


def read_document(answer: rest.Answer) -> list[Part]:
    """The parts, found as the Node SDK finds them: a quoted boundary behind the only space, and nothing after it."""
    content_type = answer.header("content-type")
    assert content_type is not None
    media, space, parameter = content_type.partition(" ")
    assert (media, space) == ("multipart/mixed;", " "), content_type
    name, quoted = parameter.split("=")
    assert (name, quoted[0], quoted[-1]) == ("boundary", '"', '"'), content_type
    found = [read_part(text) for text in cut(answer.body, quoted[1:-1].encode())]
    for part in found:
        assert not part.line.startswith("HTTP"), part.line
        assert [name for name, _ in part.headers if name.lower() == "requestid"] == ["RequestId"], part
    return found


def request_id(part: Part) -> str:
    """The id of a result of a document batch."""
    return dict(part.headers)["RequestId"]


def read_google(answer: rest.Answer) -> list[Part]:
    content_type = answer.header("content-type")
    assert content_type is not None
    found = [read_part(text) for text in cut(answer.body, boundary_of(content_type).encode())]
    for part in found:
        assert part.line.startswith("HTTP/1.1 "), part.line
        assert part.headers, "the Google client needs a header in each part"
    return found


def is_document_error(body: bytes) -> bool:
    """The error object that the SDKs of the document dialect read; anything else kills them."""
    value = json.loads(body)
    error = value.get("Error", {})
    names = ("Code", "Message", "Description", "DateTime")
    return bool(value.get("RequestId")) and all(isinstance(error.get(name), str) and error[name] for name in names)
