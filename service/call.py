"""`batchwire call`: sends an OData JSON batch to a gateway and hands the answer on as it comes.

Neither the batch nor the answer is ever held whole. Must never be imported by the gateway itself.
"""

import contextlib
import http.client
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

CHUNK = 65536
# Every response object begins so (JsonWriter, also of other gateways that follow the member order of ours).
_RESPONSE = re.compile(rb'\{"id":"(?:[^"\\]|\\.)*",(?:"atomicityGroup":"(?:[^"\\]|\\.)*",)?"status":([0-9]{3})')
# A string may go on in the next piece, even in the middle of an escape.
_TEXT = rb'(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)'
_REST_OF_TEXT = re.compile(_TEXT, re.DOTALL)
_STRUCTURE = re.compile(rb'"' + _TEXT + rb"|[{}\[\]]", re.DOTALL)
_LONGEST_HEAD = 4096


class CallError(Exception):
    """The batch could not be sent or was refused as a whole; the message is for a person."""


class Tally:
    """Counts the response objects of an answer that comes in pieces.

    A response object is an object at depth 3 of the document ({"responses":[{...}]}); text is stepped over whole, so
    that nothing inside a string or a body is taken for one.
    """

    def __init__(self) -> None:
        self.responses = 0
        self.failed = 0
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._head = b""

    def add(self, data: bytes) -> None:
        """The next piece of the answer."""
        at = start = 0
        if self._in_text:
            at = self._text_ends(_REST_OF_TEXT.match(data, 1 if self._escaped else 0))
        for found in _STRUCTURE.finditer(data, at):
            mark = found.group()
            if mark in (b"{", b"["):
                self._depth += 1
                if self._depth == 3 and mark == b"{":
                    start = found.start()
                    self._head = b""
            elif mark in (b"}", b"]"):
                if self._depth == 3 and mark == b"}":
                    self._count(self._head + data[start : start + _LONGEST_HEAD])
                self._depth -= 1
            else:
                self._text_ends(found)
        if self._depth >= 3 and len(self._head) < _LONGEST_HEAD:
            self._head += data[start : start + _LONGEST_HEAD]

    def complete(self) -> bool:
        """Whether the answer was closed as JSON is."""
        return self._depth == 0 and not self._in_text

    def _text_ends(self, found: re.Match[bytes] | None) -> int:
        """Notes whether a string ended in this piece; where the scan goes on."""
        if found is None:
            return 0
        self._in_text = found.group("end") != b'"'
        self._escaped = found.group("end") == b"\\"
        return found.end()

    def _count(self, head: bytes) -> None:
        self.responses += 1
        found = _RESPONSE.match(head)
        if found is None or not found.group(1).startswith(b"2"):
            self.failed += 1


def run_call(
    file: str, http: str | None, grpc: str | None, route: str, timeout: float, output: str, progress: bool | None
) -> int:
    """Sends the batch in `file` ("-": stdin) and writes the answer to `output` ("-": stdout).

    0: every call was answered 2xx. 1: some call was not. 2: nothing usable came; one line on stderr says why.
    """
    shown = sys.stderr.isatty() if progress is None else progress
    tally = Tally()
    try:
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            sink = sys.stdout.buffer if output == "-" else stack.enter_context(Path(output).open("wb"))
            answer = (
                _by_rest(http, _chunks(source), timeout)
                if http is not None
                else _by_grpc(grpc or "", route, _chunks(source), timeout)
            )
            bar = stack.enter_context(_progress(shown))
            task = bar.add_task("results", total=None, failed=0)
            for piece in answer:
                tally.add(piece)
                sink.write(piece)
                bar.update(task, completed=tally.responses, failed=tally.failed)
            if sink.isatty():
                sink.write(b"\n")  # for the prompt that follows; anywhere else the answer is the bytes that came
            sink.flush()
        if not tally.complete():
            raise CallError("the answer broke off: some results are missing")
    except CallError as error:
        click.echo(f"batchwire call: {error}", err=True)
        return 2
    except OSError as error:
        click.echo(f"batchwire call: {error.strerror or error}", err=True)
        return 2
    return 1 if tally.failed else 0


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.completed} results, {task.fields[failed]} not 2xx"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not shown,
        transient=True,
    )


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while data := source.read(CHUNK):
        yield data


def _by_rest(url: str, body: Iterator[bytes], timeout: float) -> Iterator[bytes]:
    """POSTs the document chunked; http.client is enough for one request and needs no further package."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise CallError(f"{url} is no http or https URL")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(
            "POST",
            path or "/",
            body=body,
            headers={"content-type": "application/json", "odata-version": "4.01", "transfer-encoding": "chunked"},
            encode_chunked=True,
        )
        response = connection.getresponse()
        if response.status not in (200, 202):
            raise CallError(f"the gateway answered {response.status}: {_reason(response.read(CHUNK))}")
        while data := response.read1(CHUNK):
            yield data
    except http.client.HTTPException as error:
        raise CallError(f"the answer broke off: {type(error).__name__}") from None
    finally:
        connection.close()


def _by_grpc(target: str, route: str, body: Iterator[bytes], timeout: float) -> Iterator[bytes]:
    import grpc
    from batchwire.v1 import batch_pb2_grpc
    from google.api.httpbody_pb2 import HttpBody

    with grpc.insecure_channel(target) as channel:
        stub: Any = batch_pb2_grpc.BatchServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("batchwire-route", route),) if route else ()
        messages = (HttpBody(content_type="application/json", data=data) for data in body)
        try:
            for message in stub.BatchJson(messages, metadata=metadata, timeout=timeout):
                yield message.data
        except grpc.RpcError as error:
            raise CallError(f"{error.code().name}: {error.details()}") from None


def _reason(body: bytes) -> str:
    """The message of an OData error object, or the start of whatever came."""
    found = re.search(rb'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
    return (found.group(1) if found else body[:200]).decode("utf-8", "replace")
