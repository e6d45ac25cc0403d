"""A hundred thousand parts in each multipart dialect: every result once, in order, as a stream, in flat memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api.httpbody_pb2 import HttpBody
from harness import config, grpc_client, rest
from harness.dialects import DOCUMENT_TYPE, GOOGLE_BOUNDARY, GOOGLE_TYPE, PATHS, Step, google_part, step_part
from harness.documents import MULTIPART
from harness.gateway import Gateway
from harness.memory import Peak
from harness.multiparts import HTTP_TYPE, part

PARTS = 100_000
FEW = 2_000
PIECE = 500
GROWTH = 32 << 20
RESULT = re.compile(rb'\{"calls":(\d+),"path":"/T\((\d+)\)"\}')


@pytest.fixture(scope="module")
def large_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "quick", "default": True}]
    settings = config.make({"quick": {"app": "quick_app:app"}}, routes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)  # where the app's module is found
        running = Gateway(settings, tmp_path_factory.mktemp("large"))
        running.start()
    try:
        for dialect in DIALECTS:  # code and buffers exist before memory is measured
            over_rest(running, dialect, FEW)
            over_grpc(running, dialect, FEW)
        yield running
        running.stop()
    finally:
        running.kill()


def odata(number: int) -> bytes:
    return part(b"GET T(%d) HTTP/1.1\r\n\r\n" % number, HTTP_TYPE + b"Content-ID: %d\r\n" % number)


def document(number: int) -> bytes:
    return step_part(Step(str(number), f"T({number})", after=str(number - 1) if number % 10 else ""))


def google(number: int) -> bytes:
    return google_part(f"<x + {number}>", f"GET /T({number})")


# The type of the document, its boundary, its parts.
DIALECTS = {
    "odata": (MULTIPART, b"b", odata),
    "document": (DOCUMENT_TYPE, b"b", document),
    "google": (GOOGLE_TYPE, GOOGLE_BOUNDARY, google),
}


def pieces(dialect: str, count: int, finish: threading.Event) -> Iterator[bytes]:
    """The document, PIECE parts at a time; the last of them wait for `finish`."""
    _, boundary, made = DIALECTS[dialect]
    opening = b"--" + boundary + b"\r\n"
    for start in range(0, count, PIECE):
        if start + PIECE >= count:
            assert finish.wait(100), "no result came before the document ended"
        yield b"".join(opening + made(number) + b"\r\n" for number in range(start, start + PIECE))
    yield b"--" + boundary + b"--\r\n"


class Reader:
    """Reads results out of the answer as it comes, and holds nothing of it."""

    def __init__(self, finish: threading.Event) -> None:
        self.found = 0
        self.calls = 0
        self.early = 0
        self._tail = b""
        self._finish = finish

    def take(self, data: bytes) -> None:
        self._tail += data
        end = 0
        for match in RESULT.finditer(self._tail):
            assert int(match[2]) == self.found, "a result is missing, or not in its place"
            self.found += 1
            self.calls = max(self.calls, int(match[1]))
            end = match.end()
        self._tail = self._tail[max(end, len(self._tail) - 200) :]
        if self.found and not self._finish.is_set():
            self.early = self.found
            self._finish.set()

    @property
    def closed(self) -> bool:
        return self._tail.endswith(b"--\r\n")


def over_rest(gateway: Gateway, dialect: str, count: int) -> Reader:
    finish = threading.Event()
    reader = Reader(finish)
    method, path = PATHS.get(dialect, ("POST", "$batch"))
    with rest.Wire(gateway.http_port, timeout=100) as wire:
        fields = {"Content-Type": DIALECTS[dialect][0], "Transfer-Encoding": "chunked"}
        wire.begin(method, f"/svc/{path}", fields)

        def run() -> None:
            for piece in pieces(dialect, count, finish):
                wire.chunk(piece)
            wire.chunk(b"")

        if count <= FEW:
            finish.set()
        sender = threading.Thread(target=run, daemon=True)
        sender.start()
        assert wire.head().status == 200
        while data := wire.data():
            reader.take(data)
        sender.join(10)
    return reader


def over_grpc(gateway: Gateway, dialect: str, count: int) -> Reader:
    finish = threading.Event()
    reader = Reader(finish)
    if count <= FEW:
        finish.set()

    def messages() -> Iterator[HttpBody]:
        for number, piece in enumerate(pieces(dialect, count, finish)):
            yield HttpBody(content_type="" if number else DIALECTS[dialect][0], data=piece)

    metadata = [("batchwire-route", "/svc/"), ("batchwire-dialect", dialect)]
    with grpc_client.Client(gateway.grpc_address) as client:
        for message in client.stub.BatchHttp(messages(), timeout=150, metadata=metadata):
            reader.take(message.data)
    return reader


@pytest.mark.timeout(180)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("run", [over_rest, over_grpc])
def test_a_hundred_thousand_parts(run: object, dialect: str, large_gateway: Gateway) -> None:
    before = run(large_gateway, dialect, PIECE).calls  # type: ignore[operator]
    with Peak(large_gateway) as peak:
        reader = run(large_gateway, dialect, PARTS)  # type: ignore[operator]
    assert reader.found == PARTS
    assert reader.calls == before + PARTS, "a call ran twice, or not at all"
    assert 0 < reader.early < PARTS
    assert reader.closed
    assert peak.grown < GROWTH, f"{peak.grown >> 20} MiB"
    large_gateway.wait_idle()
