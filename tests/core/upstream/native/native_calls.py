"""Calls as the plan would hand them to a form, batches as an upstream reads them, and the answers it would give."""

from __future__ import annotations

import email
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.dialects.proto_reader import ProtoReader
from batchwire.core.headers import HeaderBlock
from batchwire.core.model import Call, Result
from batchwire.core.upstream.native.base import NativeForm, ready_call
from batchwire.core.upstream.native.json_form import JsonForm
from batchwire.core.upstream.native.multipart_form import MultipartForm
from batchwire.v1 import batch_pb2 as pb

ROOT = b"/odata/v4/catalog/"
HOP = b"Batchwire-Hop: 1\r\n"
JSON_FORM = JsonForm()
MULTIPART = MultipartForm()
FORMS: list[NativeForm] = [JSON_FORM, MULTIPART]
JSON = ("content-type", "application/json")
SUCCEEDED, FAILED, DEPENDENCY_FAILED, UNREACHABLE, TIMED_OUT = 1, 2, 4, 5, 6
Told = tuple[int, list[tuple[bytes, bytes]], bytes | None, int]


def member(
    name: str,
    method: str = "POST",
    url: str = "Books",
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (JSON,),
    depends_on: tuple[str, ...] = (),
    extra: bytes | None = HOP,
    root: bytes = ROOT,
) -> Call:
    """A ready call of an upstream at root. A url that begins with "$" is left as a reference."""
    made = pb.Call(
        id=name,
        method=method,
        url=url or "/svc/",
        headers=[pb.Header(name=key, value=value) for key, value in headers],
        depends_on=depends_on,
        body=body,
    )
    reader = ProtoReader(HeaderBlock(refuse_duplicates=False))
    reader.feed_bytes(pb.BatchRequest(calls=[made]).SerializeToString())
    reader.end()
    call = reader.next()
    assert call is not None
    assert call.refusal is None
    target = url.encode()
    return ready_call(target if url.startswith("$") else root + target, call, extra)


def encode(form: NativeForm, *members: Call, atomic: bool = True, root: bytes = ROOT) -> Any:
    assert form.fits_batch(list(members), atomic, root)
    return form.encode_batch(list(members), atomic, root)


def fields_of(head: bytes) -> dict[str, str]:
    """Header lines as {lower-case name: value}; each name may come once."""
    pairs = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, value in pairs}


# ---------------------------------------------------------------- what an upstream reads


@dataclass
class Seen:
    """A member as the upstream sees it. group: its atomicity group, "change set" or None."""

    id: str
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    depends_on: list[str] = field(default_factory=list)
    group: str | None = None


def seen_in(batch: Any) -> list[Seen]:
    """The members of an encoded batch, read by other code than wrote them."""
    media = fields_of(batch.head)["content-type"]
    return seen_in_json(batch.body) if media == "application/json" else seen_in_multipart(media, batch.body)


def seen_in_json(body: bytes) -> list[Seen]:
    """Read by the reader of the gateway's own JSON dialect, as if the next gateway were the upstream."""
    reader = JsonReader(max_depth=1024)
    reader.feed_bytes(body)
    seen = []
    while (call := reader.next()) is not None:
        said = call.describe()
        assert said["refusal"] is None
        seen.append(
            Seen(
                said["id"].decode(),
                said["method"].decode(),
                said["url"].decode(),
                {name.decode().lower(): value.decode() for name, value in said["headers"]},
                said["body"],
                [name.decode() for name in said["depends_on"] or ()],
                None if said["group"] is None else said["group"].decode(),
            )
        )
    reader.end()
    assert reader.next() is None
    assert reader.ended
    return seen


def seen_in_multipart(media: str, body: bytes) -> list[Seen]:
    """Read by the parser of Python's email package."""
    seen = []
    for part in parts_of(email.message_from_bytes(f"Content-Type: {media}\r\n\r\n".encode() + body)):
        nested = part.get_content_type() == "multipart/mixed"
        seen += [seen_in_part(one, "change set" if nested else None) for one in (parts_of(part) if nested else [part])]
    return seen


def parts_of(message: Message) -> list[Message]:
    assert not message.defects
    parts = message.get_payload()
    assert isinstance(parts, list)
    return [part for part in parts if isinstance(part, Message)]


def seen_in_part(part: Message, group: str | None) -> Seen:
    assert part.get_content_type() == "application/http"
    assert part["content-transfer-encoding"] == "binary"
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    head, _, body = raw.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    method, url, version = line.decode().split(" ")
    assert version == "HTTP/1.1"
    headers = fields_of(rest)
    length = headers.pop("content-length", None)
    assert int(length or 0) == len(body)
    return Seen(part["content-id"], method, url, headers, None if length is None else body, [], group)


# ---------------------------------------------------------------- what an upstream answers


@dataclass
class Said:
    """An upstream's answer for one member. body: as it stands in the answer, so JSON or in quotes inside JSON."""

    id: str | None
    status: int
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


CREATED = b'{"ID":1}'
ERROR = b'{"error":{"code":"X","message":"no"}}'


def text_of(form: NativeForm, said: Sequence[Said], nested: bool = True) -> bytes:
    """The body of an answer. nested: multipart puts all of it into one change set."""
    if form is JSON_FORM:
        return b'{"responses":[' + b",".join(map(json_of, said)) + b"]}"
    parts = [part_of(one) for one in said]
    if nested:
        parts = [b"Content-Type: multipart/mixed; boundary=c\r\n\r\n" + multipart_of("c", parts)]
    return multipart_of("b", parts)


def json_of(said: Said) -> bytes:
    pairs = ",".join(f'"{name}":"{value}"' for name, value in said.headers)
    body = b"" if said.body is None else b',"body":' + said.body
    return f'{{"id":"{said.id}","status":{said.status},"headers":{{{pairs}}}'.encode() + body + b"}"


def part_of(said: Said) -> bytes:
    name = "" if said.id is None else f"Content-ID: {said.id}\r\n"
    lines = "".join(f"{key}: {value}\r\n" for key, value in said.headers)
    length = b"" if said.body is None else b"Content-Length: %d\r\n" % len(said.body)
    head = f"Content-Type: application/http\r\n{name}\r\nHTTP/1.1 {said.status} X\r\n{lines}".encode()
    return head + length + b"\r\n" + (said.body or b"")


def multipart_of(boundary: str, parts: Sequence[bytes]) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def answer(
    form: NativeForm,
    body: bytes | None,
    status: int = 200,
    *more: tuple[bytes, bytes],
    media: str | None = None,
    outcome: int = SUCCEEDED,
) -> Result:
    """The upstream's answer to the POST, of the media type that belongs to the form."""
    media = media or ("application/json" if form is JSON_FORM else "multipart/mixed; boundary=b")
    result = Result()
    result.fill(status, [(b"Content-Type", media.encode()), *more], body, outcome)
    return result


def members_of(count: int) -> list[Call]:
    """Inserts whose ids are not those that a form gives."""
    return [member(f"call{i}", body=b"{}") for i in range(count)]


def told(form: NativeForm, given: Result, count: int = 2, atomic: bool = True) -> list[Told]:
    found: list[Told] = form.decode_answer(given, members_of(count), atomic)
    assert len(found) == count
    return found


def tell(form: NativeForm, *said: Said, count: int = 2, atomic: bool = True) -> list[Told]:
    """What becomes of these answers."""
    return told(form, answer(form, text_of(form, said, atomic)), count, atomic)


def statuses(found: Sequence[Told]) -> list[int]:
    return [status for status, _, _, _ in found]


def header(one: Told, name: bytes) -> bytes | None:
    return next((value for key, value in one[1] if key.lower() == name), None)
