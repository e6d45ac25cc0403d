"""A scripted upstream that takes OData batches at /$batch itself, JSON and multipart, with transactions.

A group of a batch is all or nothing over the scripted rows: `applied` holds the changes that stand afterwards.
What it unpacks is logged member by member beside the calls that come alone. It reads by the letter of the contract
and notes every deviation in `problems`; it must never forgive the gateway one.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from .batches import decode_base64url, kind_of
from .scripted import Gate, Received, Reply, ScriptedUpstream, odata_error

BATCH = "/$batch"
REFERENCE = re.compile(r"\$(\d+)(?=[/?]|$)")
IN_LINK = re.compile(r'("(?:[^"@]*@odata\.bind|@odata\.id|@id)"\s*:\s*\[?\s*")\$(\d+)(?=")')
ID = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass
class Member:
    """One call of a batch as the upstream reads it."""

    id: str
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    group: str
    depends_on: list[str] = field(default_factory=list)
    reply: Reply | None = None


class BatchingUpstream(ScriptedUpstream):
    """Beside the scripts of ScriptedUpstream: `batch_gate` and `batch_delay` hold the answers to batches back."""

    def __init__(self) -> None:
        super().__init__()
        self.unpacked: list[Received] = []
        self.sizes: list[int] = []
        self.applied: list[str] = []
        self.batch_gate: Gate | None = None
        self.batch_delay = 0.0

    def reset(self) -> None:
        super().reset()
        self.unpacked = []
        self.sizes = []
        self.applied = []
        self.batch_gate = None
        self.batch_delay = 0.0

    @property
    def batches(self) -> list[Received]:
        """The batches as they came."""
        return [call for call in list(self.log) if call.path == BATCH]

    @property
    def calls(self) -> list[Received]:
        """Every call: those that came alone and those that were unpacked."""
        return [call for call in list(self.log) if call.path != BATCH] + list(self.unpacked)

    @property
    def lines(self) -> list[str]:
        return [call.line for call in self.calls]

    def call(self, line: str) -> Received:
        found = [call for call in self.calls if call.line == line]
        assert len(found) == 1, f"{line} came {len(found)} times: {self.lines}"
        return found[0]

    def _reply(self, call: Received) -> Reply:
        if call.path != BATCH or (call.method, call.path) in self._rows:
            reply = super()._reply(call)
            if call.method != "GET" and reply.status < 400:
                self.applied.append(call.line)
            return reply
        media = call.header("content-type") or ""
        try:
            members = _json_members(call.body) if media == "application/json" else _multipart_members(media, call.body)
            self._check(call, members)
        except (ValueError, KeyError, AssertionError) as error:
            self.problems.append(f"batch not readable: {error!r}: {call.body!r}")
            return odata_error(400, "BadBatch", repr(error))
        self.sizes.append(len(members))
        goes_on = media == "application/json" or "continue-on-error" in (call.header("prefer") or "")
        for group in _grouped(members):
            self._run_group(group, call, {member.id: member for member in members})
            if not goes_on and any(_failed(member) for member in group):
                break
        answer = _json_answer(members) if media == "application/json" else _multipart_answer(members)
        answer.gate, answer.delay = self.batch_gate, self.batch_delay
        return answer

    def _check(self, call: Received, members: list[Member]) -> None:
        ids = [member.id for member in members]
        assert len(set(ids)) == len(ids), "an id comes twice"
        assert call.method == "POST"
        for place, member in enumerate(members):
            names = [name.lower() for name, _ in member.headers]
            assert len(set(names)) == len(names), f"a header comes twice: {names}"
            assert not {"authorization", "host", "connection", "transfer-encoding"} & set(names), names
            assert ID.fullmatch(member.id), member.id
            assert set(member.depends_on) <= set(ids[:place]), "a dependency that comes later"
            if member.method in ("GET", "DELETE"):
                assert not member.body, "a body where there must be none"
            assert ":" not in member.url.partition("?")[0], "a colon in the path of a relative URL (MB-19)"
            assert not member.url.startswith("/"), "not relative to the batch URL"

    def _run_group(self, group: list[Member], call: Received, earlier: dict[str, Member]) -> None:
        """Runs one call, or all of a group or none."""
        done: list[str] = []
        for member in group:
            url = self._resolved(member, earlier)
            body = IN_LINK.sub(lambda found: found[1] + _location(earlier[found[2]]), member.body.decode("latin-1"))
            received = Received(
                member.method,
                "/" + url,
                [(name.lower(), value) for name, value in member.headers],
                body.encode("latin-1"),
                call.connection,
                call.started,
            )
            self.unpacked.append(received)
            reply = super()._reply(received)
            received.finished = time.monotonic()
            member.reply = reply
            if _failed(member):
                break
            if member.method != "GET":
                done.append(received.line)
        else:
            self.applied += done

    def _resolved(self, member: Member, earlier: dict[str, Member]) -> str:
        """The path of a member, with its references to members before it put in."""
        fields = []
        for name, value in member.headers:
            found = REFERENCE.fullmatch(value)
            if name.lower() in ("if-match", "if-none-match") and found:
                reply = earlier[found[1]].reply
                assert reply is not None, "an ETag of a member that has not run"
                value = {n.lower(): v for n, v in reply.headers}["etag"]
            fields.append((name, value))
        member.headers = fields
        found = REFERENCE.match(member.url)
        if found is None:
            return member.url
        assert member.group, "a reference outside of a group"
        return _location(earlier[found[1]]) + member.url[found.end() :]


def _location(member: Member) -> str:
    """The URL of what a member made, relative to the service root."""
    assert member.reply is not None, "a reference to a member that has not run"
    url = {name.lower(): value for name, value in member.reply.headers}.get("location", member.url)
    return url.rpartition("/")[2]


def _failed(member: Member) -> bool:
    return member.reply is not None and member.reply.status >= 400


def _grouped(members: list[Member]) -> list[list[Member]]:
    groups: list[list[Member]] = []
    for member in members:
        if member.group and groups and groups[-1][0].group == member.group:
            groups[-1].append(member)
        else:
            groups.append([member])
    names = [group[0].group for group in groups if group[0].group]
    assert len(set(names)) == len(names), "a group is not adjacent (JB-13)"
    return groups


# --- JSON


def _json_members(text: bytes) -> list[Member]:
    members = []
    for given in json.loads(text)["requests"]:
        headers = list(given.get("headers", {}).items())
        assert all(name == name.lower() and isinstance(value, str) for name, value in headers), headers
        body = b""
        if given.get("body") is not None:
            kind = kind_of(dict(headers).get("content-type"))
            if kind == "json":
                body = json.dumps(given["body"], ensure_ascii=False, separators=(",", ":")).encode()
            else:
                body = given["body"].encode() if kind == "text" else decode_base64url(given["body"])
        waits = list(given.get("dependsOn", []))
        found = REFERENCE.match(given["url"])
        assert found is None or found[1] in waits, "a reference that dependsOn does not list (JB-11)"
        members.append(
            Member(
                given["id"],
                given["method"].upper(),
                given["url"],
                headers,
                body,
                given.get("atomicityGroup", ""),
                waits,
            )
        )
    return members


def _json_answer(members: list[Member]) -> Reply:
    responses: list[dict[str, Any]] = []
    failed = {member.group for member in members if member.group and _failed(member)}
    for member in members:
        if member.reply is None:
            if member.group in failed:
                responses.append({"id": member.id, "status": 424, "atomicityGroup": member.group})
            continue
        headers = {name.lower(): value for name, value in member.reply.headers}
        response: dict[str, Any] = {"id": member.id, "status": member.reply.status, "headers": headers}
        if member.group:
            response["atomicityGroup"] = member.group
        if member.reply.body:
            kind = kind_of(headers.get("content-type"))
            if kind == "json":
                response["body"] = json.loads(member.reply.body)
            else:
                response["body"] = member.reply.body.decode()
                assert kind == "text", "no script of a test needs another body"
        responses.append(response)
    text = json.dumps({"responses": responses[::-1]}).encode()  # JR-10: in any order
    return Reply(200, [("Content-Type", "application/json")], text)


# --- multipart


def _split(media: str, text: bytes) -> list[bytes]:
    found = re.fullmatch(r'multipart/mixed; ?boundary="?([^";]+)"?', media)
    assert found, media
    delimiter = b"--" + found[1].encode()
    assert text.startswith(delimiter + b"\r\n"), text[:200]
    body, closed, _ = text.partition(b"\r\n" + delimiter + b"--")
    assert closed, "no close delimiter"
    return body[len(delimiter) + 2 :].split(b"\r\n" + delimiter + b"\r\n")


def _head(text: bytes) -> tuple[dict[str, str], bytes]:
    head, blank, rest = text.partition(b"\r\n\r\n")
    assert blank, text
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")]
    return {name.lower(): value for name, _, value in lines}, rest


def _multipart_members(media: str, text: bytes, group: str = "") -> list[Member]:
    members: list[Member] = []
    for number, content in enumerate(_split(media, text)):
        fields, rest = _head(content)
        if fields["content-type"].startswith("multipart/mixed"):
            assert not group, "a change set in a change set (MB-21)"
            members += _multipart_members(fields["content-type"], rest, f"set{number}")
            continue
        assert fields["content-type"] == "application/http", fields
        line, _, after = rest.partition(b"\r\n")
        method, url, version = line.decode().split(" ")
        assert version == "HTTP/1.1", line
        head, _, body = after.partition(b"\r\n\r\n") if not after.startswith(b"\r\n") else (b"", b"", after[2:])
        headers = [
            (n, v) for n, _, v in (field.partition(": ") for field in head.decode("latin-1").split("\r\n") if field)
        ]
        length = {name.lower(): value for name, value in headers}.get("content-length", "0")
        assert int(length) == len(body), f"content-length {length} of {len(body)} bytes"
        assert not (group and method == "GET"), "a GET in a change set (MB-07)"
        members.append(Member(fields["content-id"], method, url, headers, body, group))
    return members


def _multipart_part(member: Member) -> bytes:
    assert member.reply is not None
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {member.id}", ""]
    lines.append(f"HTTP/1.1 {member.reply.status} Scripted")
    lines += [f"{name}: {value}" for name, value in member.reply.headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + member.reply.body


def _joined(parts: list[bytes], boundary: bytes) -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in parts) + b"--" + boundary + b"--\r\n"


def _multipart_answer(members: list[Member]) -> Reply:
    parts = []
    for group in _grouped(members):
        failed = [member for member in group if _failed(member)]
        if failed:
            parts.append(_multipart_part(failed[0]))
        elif any(member.reply is None for member in group):
            break
        elif group[0].group:
            inner = _joined([_multipart_part(member) for member in group], b"inner")
            parts.append(b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n" + inner)
        else:
            parts.append(_multipart_part(group[0]))
    return Reply(200, [("Content-Type", "multipart/mixed; boundary=outer")], _joined(parts, b"outer"))
