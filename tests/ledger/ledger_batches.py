"""Random batches of the ledger, the same for the same seed and number."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from harness.batches import Call

TENANTS = [f"t{letter}" for letter in "abcde"]
DOCUMENTS = ("multipart-rest", "multipart-grpc")
FREE = ("google-rest", "google-grpc")
STEPS = ("document-rest", "document-grpc")
PLANNED = ("json-strict", "json-compatible", "grpc-batch", "grpc-execute", "grpc-json", "grpc-http-json")
DIALECTS = (*PLANNED, *PLANNED, *DOCUMENTS, *FREE, *STEPS)
PLAIN, JSON_GROUPS, MULTIPART_GROUPS, COALESCED = "/plain/", "/json/", "/multipart/", "/coalesced/"
ROUTES = (PLAIN, PLAIN, JSON_GROUPS, MULTIPART_GROUPS, COALESCED)


@dataclass
class Planned:
    """One batch. `items`: calls, and groups as lists. `cancel`: seconds after which the client goes, or None."""

    number: int
    tenant: str
    dialect: str
    route: str
    items: list[Call | list[Call]]
    cancel: float | None

    @property
    def calls(self) -> list[Call]:
        return [call for item in self.items for call in ([item] if isinstance(item, Call) else item)]

    def token(self, call: Call) -> str:
        return call.headers["x-token"]


class _Maker:
    def __init__(self, chance: random.Random, number: int) -> None:
        self.chance = chance
        self.number = number
        self.tenant = chance.choice(TENANTS)
        self.dialect = chance.choice(DIALECTS)
        self.route = chance.choice(ROUTES)
        self.made = 0
        self.earlier: list[Call] = []

    def batch(self) -> Planned:
        items: list[Call | list[Call]] = []
        grouped = self.route in (JSON_GROUPS, MULTIPART_GROUPS) and self.dialect in (*PLANNED, *DOCUMENTS)
        for _ in range(self.chance.choice((1, 3, 10, 10, 40))):
            if grouped and self.chance.random() < 0.3:
                items.append(self.group())
            else:
                items.append(self.call())
        cancel = self.chance.choice((0.0, 0.001, 0.01, 0.05)) if self.chance.random() < 0.05 else None
        return Planned(self.number, self.tenant, self.dialect, self.route, items, cancel)

    def group(self) -> list[Call]:
        name = f"g{self.made}"
        calls = [self.call(name) for _ in range(self.chance.randint(1, 4))]
        self.earlier += calls
        return calls

    def call(self, group: str = "") -> Call:
        self.made += 1
        token = f"{self.tenant}-{self.number}-{self.made}"
        method = self.chance.choice(
            ("POST", "PATCH", "PUT", "DELETE") if group else ("GET", "GET", "POST", "PATCH", "PUT", "DELETE")
        )
        call = Call(str(self.made), token, method, {"x-token": token}, group=group)
        if method in ("POST", "PATCH", "PUT"):
            call.headers["content-type"] = "application/json"
            call.body = json.dumps({"a": "ä" * self.chance.choice((0, 5, 3000))}, ensure_ascii=False).encode()
        if self.earlier and self.dialect not in FREE and self.chance.random() < 0.5:
            self.bind(call)
        if not group:
            self.earlier.append(call)
        return call

    def bind(self, call: Call) -> None:
        """Lets a call wait for one or more that come before it, or use their answers."""
        of = self.chance.choice(self.earlier)
        if self.dialect in STEPS:
            call.depends_on = [of.id]
            return
        planned = self.dialect in PLANNED
        if planned:
            call.depends_on = [of.group if of.group and not call.group and self.chance.random() < 0.3 else of.id]
            if self.chance.random() < 0.3:
                call.depends_on.append(self.chance.choice(self.earlier).id)
                call.depends_on = list(dict.fromkeys(call.depends_on))
        kind = self.chance.choice(("order", "order", "url", "etag", "query", "body", "if"))
        if kind == "url" and of.id in call.depends_on + ([] if planned else [of.id]) and of.method == "POST":
            call.url = f"${of.id}"
        elif kind == "etag" and of.method != "GET" and not call.group:
            call.headers["if-match"] = f"${of.id}"
        elif kind == "query" and of.method != "DELETE" and not call.group:
            call.url += f"?f=${of.id}/v"
        elif kind == "body" and call.body is not None and of.method != "DELETE" and not call.group:
            call.body = json.dumps({"of": f"${of.id}/v"}).encode()
        elif kind == "if" and planned and not call.group and of.id in call.depends_on:
            call.condition = self.chance.choice(
                (f"${of.id}/$succeeded eq false", f"${of.id}/$succeeded", f"${of.id}/v gt 3")
            )
            if of.method == "DELETE":
                call.condition = f"${of.id}/$succeeded"


def plan(seed: int, number: int) -> Planned:
    return _Maker(random.Random(f"{seed}/{number}"), number).batch()
