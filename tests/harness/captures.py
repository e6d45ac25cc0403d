"""Captured batches of real clients (tests/contract/vectors/clients), and their replay to a gateway.

The bytes go as the client sent them, head and all. Must never use the gateway's own reader to tell what is in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import config, documents, rest
from .gateway import Gateway

FOLDER = Path(__file__).parents[1] / "contract" / "vectors" / "clients"
REQUEST_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE|MERGE) (\S+)(?: HTTP/1\.1| )?")
CHANGE_SET = re.compile(rb'content-type: *multipart/mixed; *boundary="?([^"]+)"?', re.IGNORECASE)


@dataclass
class CapturedCall:
    """One call; `change_set` numbers those of the batch, None: in none. `fields` are those of part and request."""

    method: str
    url: str
    change_set: int | None
    fields: dict[str, str]


@dataclass
class Capture:
    name: str
    data: bytes

    @property
    def client(self) -> str:
        return self.name.partition("/")[0]

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str:
        found = re.search(rf"(?im)^{name}: *(.*?)\r?$", self.head)
        assert found, name
        return found[1]

    @property
    def root(self) -> str:
        """The service root: the path up to the batch resource."""
        found = re.match(r"\w+ (/(?:[^ ]*/)??)(?:\$batch|batch)[ ?/]", self.head)
        assert found, self.head
        return found[1]

    def calls(self) -> list[CapturedCall]:
        """By request lines and delimiters: no body of the captures has a line that looks like one."""
        calls: list[CapturedCall] = []
        inner, sets = b"", 0
        fields: dict[str, str] = {}
        for line in re.sub(rb"\r?\n[ \t]+", b" ", self.body).split(b"\n"):
            line = line.rstrip(b"\r")
            if line.startswith(b"--"):
                fields = {}
                inner = b"" if inner and line == b"--" + inner + b"--" else inner
            elif opened := CHANGE_SET.fullmatch(line):
                inner, sets = opened[1], sets + 1
            elif found := REQUEST_LINE.fullmatch(line):
                calls.append(CapturedCall(found[1].decode(), found[2].decode(), sets if inner else None, fields))
            elif named := re.fullmatch(rb"([A-Za-z-]+): *(.*)", line):
                fields[named[1].decode().lower()] = named[2].decode()
        return calls


def all_captures() -> list[Capture]:
    return [Capture(f"{p.parent.name}/{p.name[:2]}", p.read_bytes()) for p in sorted(FOLDER.glob("*/*-req.bin"))]


def replay(gateway: Gateway, capture: Capture, pieces: int = 0, times: int = 1) -> list[rest.Answer]:
    """Sends the capture, in pieces of so many bytes when asked, so many times over one connection."""
    method = capture.head.partition(" ")[0]
    answers = []
    with rest.Wire(gateway.http_port) as wire:
        for _ in range(times):
            wire.expect(method)
            for at in range(0, len(capture.data), pieces or len(capture.data)):
                wire.send(capture.data[at : at + (pieces or len(capture.data))])
            answers.append(wire.answer())
    return answers


def replay_over_grpc(gateway: Gateway, capture: Capture) -> rest.Answer:
    """The body over BatchHttp; what the head says besides its path goes as metadata."""
    dialect = {"aspose_node": "document", "aspose_python": "document", "google_python": "google"}
    skipped = {"host", "connection", "content-length", "content-type", "accept-encoding", "user-agent"}
    lines = [line.partition(":") for line in capture.head.split("\r\n")[1:]]
    headers = {name.lower(): value.strip() for name, _, value in lines if name.lower() not in skipped}
    headers["batchwire-dialect"] = dialect.get(capture.client, "odata")
    kind = capture.header("content-type")
    return documents.send(documents.GRPC, gateway, capture.body, kind, headers, route=capture.root, version={})


def settings(form: str, things: str) -> config.Config:
    """A route for each client, with the line that docs/dialects.md has for it; `things` takes batches in this form."""
    routes: list[config.Config] = [
        {"root": "/"},
        {"root": "/v4.0/words/"},
        {"root": "/odata/v4/svc/"},
        {"root": "/odata/v2/svc/", "status_202": True},
        {"root": "/sites/dev/_api/", "flat_change_sets": True},
    ]
    for route in routes:
        route["upstream"] = "things"
    return config.make({"things": {"url": things + "/", "batch": form, "forward_authorization": True}}, routes)
