"""Calls as the plan would hand them to a form, and answers as an upstream would give them."""

from typing import Any

from batchwire.core.dialects.proto_reader import ProtoReader
from batchwire.core.headers import HeaderBlock
from batchwire.core.model import Call, Result
from batchwire.core.upstream.native.base import NativeForm, ready_call
from batchwire.core.upstream.native.json_form import JsonForm
from batchwire.core.upstream.native.multipart_form import MultipartForm
from batchwire.v1 import batch_pb2 as pb

ROOT = b"/odata/v4/catalog/"
HOP = b"Batchwire-Hop: 1\r\n"
FORMS: list[NativeForm] = [JsonForm(), MultipartForm()]
JSON = ("content-type", "application/json")
Told = tuple[int, list[tuple[bytes, bytes]], bytes | None, int]


def member(
    name: str,
    method: str = "POST",
    url: str = "Books",
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (JSON,),
    depends_on: tuple[str, ...] = (),
    extra: bytes = HOP,
) -> Call:
    """A ready call of an upstream at ROOT. A url that begins with "$" is left as a reference."""
    made = pb.Call(
        id=name,
        method=method,
        url=url,
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
    return ready_call(target if url.startswith("$") else ROOT + target, call, extra)


def encode(form: NativeForm, *members: Call, atomic: bool = True) -> Any:
    assert form.fits_batch(list(members), atomic, ROOT)
    return form.encode_batch(list(members), atomic, ROOT)


def answer(
    body: bytes | None, status: int = 200, media: str = "application/json", *more: tuple[bytes, bytes]
) -> Result:
    result = Result()
    result.fill(status, [(b"Content-Type", media.encode()), *more], body)
    return result


def fields_of(head: bytes) -> dict[str, str]:
    """Header lines as {lower-case name: value}; each name may come once."""
    pairs = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, value in pairs}
