"""Random batches in each dialect: as bytes, with what is known of their answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from batchwire.v1 import batch_pb2 as pb
from harness import dialects, multiparts
from harness.batches import Call, duration, to_json_member
from harness.dialects import Step

DIALECTS = ("json", "json", "proto", "proto", "multipart", "document", "google")
URLS = [
    "x",
    "x?a=1",
    "/svc/y",
    "$metadata",
    "fine/1",
    "",
    "$batch",
    "../x",
    "//h/x",
    "http://gw.example/svc/z",
    "%zz",
    "ä",
]
BAD_IDS = ["", "a b", "$1", "\ud800", "ü", "x" * 300, "1/2"]
VALUES: list[Any] = [1, "text", None, "$1", "$1/v", "$2/a/b", {"x@odata.bind": "$1"}, {"@id": "$3"}, ["$1"], "\ud800"]


@dataclass
class Batch:
    """dialect, answer: as Session names them. messages: of the request. ids: of its calls, in their order; None where
    the document may be broken. groups: ids that one part may speak for."""

    dialect: str
    answer: str
    messages: list[bytes]
    ids: list[str] | None
    groups: list[list[str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.dialect = chance.choice(DIALECTS)
        self.broken = False
        self.calls: list[Call] = []
        self.groups: list[str] = []

    def some(self, odds: float) -> bool:
        return self.chance.random() < odds

    def known(self) -> str:
        """An id or a group that may be referred to: mostly of a call before."""
        if not self.calls or self.some(0.03):
            return self.chance.choice(("1", "9999", "nobody"))
        call = self.chance.choice(self.calls[-6:])
        return call.group if call.group and self.some(0.3) else call.id

    def condition(self) -> str:
        name = self.known()
        made = self.chance.choice(
            (
                f"${name}/$succeeded",
                f"${name}/$succeeded eq false",
                f"${name}/v eq 1 or not (${name}/a/b ne null)",
                f"${name}/v gt 'x' and ${self.known()}/$succeeded",
                f"contains(${name}/v,'x')",
                "true",
                "(" * 200,
                f"${name}/",
                "",
                "1 eq",
            )
        )
        return made if self.some(0.9) else f"{made} or {made} and " * 20 + "true"

    def call(self, group: str) -> Call:
        chance = self.chance
        name = str(len(self.calls) + 1)
        if self.some(0.003):
            name, self.broken = chance.choice(BAD_IDS), True
            if self.dialect != "json":
                name = name.encode("utf-8", "replace").decode()
        methods = (
            ("POST", "PUT", "PATCH", "DELETE")
            if group and self.some(0.8)
            else ("GET", "GET", "POST", "PATCH", "DELETE", "BAD")
        )
        call = Call(name, chance.choice(URLS) if self.some(0.4) else f"i{chance.randrange(50)}", chance.choice(methods))
        call.group = group
        if self.some(0.25):
            call.url = f"${self.known()}" + chance.choice(("", "/n", "?f=1", "/v/w"))
        elif self.some(0.15):
            call.url += f"?$filter=a eq ${self.known()}/{chance.choice(('v', 'a/b', 'a/b/2/c', 'value/0/id'))}"
        if call.method in ("POST", "PUT", "PATCH"):
            kind = chance.choice(("application/json", "application/json", "text/plain", "application/octet-stream"))
            call.headers["content-type"] = kind
            value = {"a": chance.choice(VALUES), "v": [chance.choice(VALUES)] * chance.randint(0, 3)}
            call.body = json.dumps(value).encode() if kind == "application/json" else b"t$1" * chance.choice((1, 300))
        if self.some(0.2):
            call.headers["if-match"] = chance.choice((f"${self.known()}", "*", '"$1"'))
        if self.some(0.05):
            call.headers[chance.choice(("x-a", "authorization", "prefer", "host"))] = chance.choice(("v", "y" * 500))
        if self.some(0.3) and self.dialect in ("json", "proto", "document"):
            call.depends_on = list(dict.fromkeys(self.known() for _ in range(chance.choice((1, 1, 2, 8)))))
        if self.some(0.1) and self.dialect in ("json", "proto"):
            call.condition = self.condition()
        if self.some(0.1):
            call.timeout = chance.choice((0.01, 0.2))
        self.calls.append(call)
        return call

    def items(self) -> list[Call | list[Call]]:
        items: list[Call | list[Call]] = []
        grouped = self.dialect in ("json", "proto", "multipart")
        for number in range(self.chance.choice((0, 1, 3, 3, 8, 20, 60))):
            if grouped and self.some(0.2):
                items.append([self.call(f"g{number}") for _ in range(self.chance.randint(1, 5))])
            else:
                items.append(self.call(""))
        return items

    def batch(self) -> Batch:
        chance = self.chance
        items = self.items()
        options: dict[str, Any] = {
            "strict": self.some(0.5),
            "ordered": self.some(0.3),
            "deadline": chance.choice((0, 0, 0, 0.05, 0.5)),
        }
        boundary = b"b" if self.dialect != "google" else dialects.GOOGLE_BOUNDARY
        answer = self.dialect
        if self.dialect == "json":
            text = json.dumps({"requests": [to_json_member(one) for one in self.calls]}).encode()
            answer = chance.choice(("json", "json", "json", "multipart"))
        elif self.dialect == "multipart":
            text = multiparts.document_of(items)
            answer = chance.choice(("multipart", "multipart", "json"))
        elif self.dialect == "document":
            steps = [_step(one, self.chance) for one in self.calls]
            text = dialects.steps(*steps)
        elif self.dialect == "google":
            text = dialects.google_document(*(_google(one) for one in self.calls))
        else:
            return self.protobuf(options)
        if self.dialect in ("multipart", "document", "google"):
            options["boundary"] = boundary
            self.broken |= not self.calls
        if self.dialect == "document" and options["strict"]:
            options["last_only"] = False
        if answer in ("multipart", "document", "google"):
            options["answer_boundary"] = b"answer"
        options["continue_on_error"] = self.some(0.7)
        if self.some(0.1) and text:
            self.broken = True
            text = self.spoiled(text)
        return Batch(self.dialect, answer, self.cut(text), self.ids(options), self.named_groups(), options)

    def ids(self, options: dict[str, Any]) -> list[str] | None:
        # What is left out after an error is known to the plan alone.
        certain = not self.broken and options.get("continue_on_error", True)
        return [call.id for call in self.calls] if certain else None

    def named_groups(self) -> list[list[str]]:
        groups: dict[str, list[str]] = {}
        for call in self.calls:
            if call.group:
                groups.setdefault(call.group, []).append(call.id)
        return list(groups.values())

    def protobuf(self, options: dict[str, Any]) -> Batch:
        messages, at = [], 0
        choices = pb.BatchOptions(continue_on_error=True)
        if options.pop("ordered"):
            choices.result_order = pb.RESULT_ORDER_REQUEST
        while at < len(self.calls) or not messages:
            # A group must not be torn apart by an end, and messages are whole.
            size = self.chance.choice((1, 5, 100))
            calls = [_proto(one) for one in self.calls[at : at + size]]
            messages.append(pb.BatchRequest(options=None if messages else choices, calls=calls).SerializeToString())
            at += size
        execute = self.some(0.2)
        if execute:
            calls = [_proto(one) for one in self.calls]
            messages = [pb.ExecuteRequest(options=choices, calls=calls).SerializeToString()]
        if self.some(0.05) and messages[-1]:
            self.broken = True
            messages[-1] = self.spoiled(messages[-1])
        options["execute"] = execute
        return Batch("proto", "proto", messages, self.ids(options), self.named_groups(), options)

    def spoiled(self, text: bytes) -> bytes:
        at = self.chance.randrange(len(text))
        kind = self.chance.randrange(4)
        if kind == 0:
            return text[:at]
        if kind == 1:
            return text[:at] + bytes([self.chance.randrange(256)]) + text[at + 1 :]
        if kind == 2:
            return text[:at] + text[at + self.chance.randint(1, 30) :]
        return text[:at] + text[max(0, at - self.chance.randint(1, 60)) : at] + text[at:]

    def cut(self, text: bytes) -> list[bytes]:
        ways = self.chance.choice((1, 1, 2, 5, 40))
        places = sorted(self.chance.randint(0, len(text)) for _ in range(ways - 1))
        return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def _step(call: Call, chance: random.Random) -> Step:
    headers = tuple(f"{name}: {value}" for name, value in call.headers.items())
    body = call.body or b""
    if body and chance.random() < 0.3:
        body = f"resultOf({(call.depends_on or ['1'])[0]})".encode()
    return Step(call.id, call.url, call.method, ",".join(call.depends_on), headers, body)


def _google(call: Call) -> bytes:
    fields = [f"{name}: {value}" for name, value in call.headers.items() if name != "content-type"]
    text = (call.body or b"").decode("utf-8", "replace")
    return dialects.google_part(f"<{call.id}>", f"{call.method} {call.url}", *fields, body=text)


def _proto(call: Call) -> Any:
    made = pb.Call(
        id=call.id,
        method=call.method,
        url=call.url,
        headers=[pb.Header(name=name, value=value) for name, value in call.headers.items()],
        body=call.body,
        depends_on=call.depends_on,
        atomicity_group=call.group,
        condition=call.condition,
    )
    if call.timeout is not None:
        made.timeout.CopyFrom(duration(call.timeout))
    return made


def make(chance: random.Random) -> Batch:
    return _Maker(chance).batch()
