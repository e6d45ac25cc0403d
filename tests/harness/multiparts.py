"""Multipart documents of the tests: written piece by piece, and answers read as strictly as the strictest client.

The reader takes CRLF only, no preamble, one boundary as last parameter: what it refuses breaks a real client
(clients.md). Must never use the gateway's own reader or writer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .batches import Call

Fields = list[tuple[str, str]]
HTTP_TYPE = b"Content-Type: application/http\r\n"
STATUS_LINE = re.compile(r"(?:HTTP/1\.1 )?(\d{3}) (\S.*)")


# --- writing


def part(message: bytes, head: bytes = HTTP_TYPE) -> bytes:
    """The headers of a part, the blank line and what follows it."""
    return head + b"\r\n" + message


def message(call: Call, version: bytes = b" HTTP/1.1") -> bytes:
    """A call as the content of an application/http part."""
    lines = [f"{call.method} {call.url}".encode() + version]
    lines += [f"{name}: {value}".encode() for name, value in call.headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (call.body or b"")


def part_of(call: Call) -> bytes:
    """A call as a part; its id becomes the Content-ID, "" none."""
    head = HTTP_TYPE + (f"Content-ID: {call.id}\r\n".encode() if call.id else b"")
    return part(message(call), head)


def document(*parts: bytes, boundary: bytes = b"b", end: bytes = b"\r\n") -> bytes:
    """A whole multipart document of these parts."""
    opened = b"".join(b"--" + boundary + b"\r\n" + content + b"\r\n" for content in parts)
    return opened + b"--" + boundary + b"--" + end


def change_set(*parts: bytes, boundary: bytes = b"c") -> bytes:
    """A part that is a change set of these parts."""
    return part(document(*parts, boundary=boundary), b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n")


def document_of(calls: Iterable[Call | list[Call]], boundary: bytes = b"b") -> bytes:
    """A document of calls; a list of calls is a change set."""
    parts = []
    for number, item in enumerate(calls):
        if isinstance(item, Call):
            parts.append(part_of(item))
        else:
            parts.append(change_set(*map(part_of, item), boundary=f"cs{number}".encode()))
    return document(*parts, boundary=boundary)


# --- reading


@dataclass
class Part:
    """One part of an answer. `fields` and `headers` keep their spelling and order; `members`: of a change set."""

    fields: Fields
    status: int = 0
    reason: str = ""
    line: str = ""
    headers: Fields = field(default_factory=list)
    body: bytes = b""
    members: list[Part] | None = None

    @property
    def content_id(self) -> str | None:
        return dict(self.fields).get("Content-ID")

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def boundary_of(content_type: str) -> str:
    """The boundary, taken as the hand-written clients take it: what follows `boundary=`, to the end."""
    start, found, boundary = content_type.partition("boundary=")
    assert start == "multipart/mixed; ", content_type
    assert found, content_type
    return boundary


def cut(text: bytes, boundary: bytes, end: bytes = b"\r\n") -> list[bytes]:
    """The parts of a document in the one form that every client takes; `end` follows its close delimiter.

    Line ends are CRLF; in bodies anything may stand.
    """
    open_line, close_line = b"--" + boundary + b"\r\n", b"--" + boundary + b"--"
    if text == close_line + end:
        return []
    assert text.startswith(open_line), text[:200]
    assert text.endswith(b"\r\n" + close_line + end), text[-200:]
    inside = text[len(open_line) : -len(close_line + end) - 2]
    return inside.split(b"\r\n" + open_line)


def fields_of(text: str) -> Fields:
    fields = []
    for line in text.split("\r\n") if text else ():
        assert "\n" not in line, "a bare LF"
        name, colon, value = line.partition(": ")
        assert colon, line
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), line
        fields.append((name, value))
    return fields


def read_part(text: bytes, nested: bool = False) -> Part:
    head, blank, rest = text.partition(b"\r\n\r\n")
    assert blank, text
    found = Part(fields_of(head.decode()))
    media = dict(found.fields)["Content-Type"]
    if media.startswith("multipart/mixed"):
        assert not nested, "change sets do not nest"
        found.members = [read_part(inner, True) for inner in cut(rest, boundary_of(media).encode(), b"")]
        return found
    assert media.partition(";")[0] == "application/http", media
    lines, blank, found.body = rest.partition(b"\r\n\r\n")
    assert blank, text
    found.line, _, headers = lines.decode().partition("\r\n")
    status = STATUS_LINE.fullmatch(found.line)
    assert status, found.line
    found.status, found.reason = int(status[1]), status[2]
    found.headers = fields_of(headers)
    # AN-10: the answer to HEAD, and 304, may say the length of a body that is not there.
    lengths = [value for name, value in found.headers if name == "Content-Length"]
    assert lengths == [str(len(found.body))] or (not found.body and len(lengths) <= 1), text
    return found


def read(content_type: str | None, body: bytes) -> list[Part]:
    """The parts of a multipart answer."""
    assert content_type is not None
    return [read_part(text) for text in cut(body, boundary_of(content_type).encode())]
