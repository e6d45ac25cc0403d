"""ASGI apps of the tests of applications in the process: what one leaves behind, how it fails and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import structlog

loaded: contextvars.ContextVar[str] = contextvars.ContextVar("loaded", default="")
loaded.set("yes")
tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="")
HOW: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "base": BaseException,
    "generator": GeneratorExit,
    "error": RuntimeError,
}
kept: set[Any] = set()


class Cycle:
    """What the collector alone frees."""

    def __init__(self) -> None:
        self.myself = self


cycles: weakref.WeakSet[Cycle] = weakref.WeakSet()
START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}
MESSAGES: dict[str, list[Any]] = {
    "another type": [{"type": "bogus"}],
    "no type": [{"status": 200}],
    "no message": [5],
    "a body first": [BODY],
    "a status that is text": [{**START, "status": "200"}, BODY],
    "no status": [{"type": "http.response.start"}, BODY],
    "status 0": [{**START, "status": 0}, BODY],
    "status 100": [{**START, "status": 100}, BODY],
    "status 103": [{**START, "status": 103}, BODY],
    "a status beyond all bounds": [{**START, "status": 99999999999}, BODY],
    "headers of text": [{**START, "headers": [("a", "b")]}, BODY],
    "a name of text": [{**START, "headers": [("a", b"b")]}, BODY],
    "a header of one": [{**START, "headers": [(b"a",)]}, BODY],
    "headers that are none": [{**START, "headers": None}, BODY],
    "a line end in a name": [{**START, "headers": [(b"a\r\nb", b"c")]}, BODY],
    "a line end in a value": [{**START, "headers": [(b"a", b"1\r\nevil: 1")]}, BODY],
    "a line feed in a value": [{**START, "headers": [(b"a", b"1\nevil: 1")]}, BODY],
    "nul in a value": [{**START, "headers": [(b"a", b"1\0")]}, BODY],
    "a pseudo header": [{**START, "headers": [(b":status", b"201")]}, BODY],
    "an empty name": [{**START, "headers": [(b"", b"c")]}, BODY],
    "a length that is none": [{**START, "headers": [(b"content-length", b"+1")]}, BODY],
    "two lengths": [{**START, "headers": [(b"content-length", b"1"), (b"Content-Length", b"2")]}, BODY],
}
"""What is no answer of HTTP from its first message on."""
HALVES: dict[str, list[Any]] = {
    "only a head": [START],
    "less than it said": [{**START, "headers": [(b"content-length", b"5")]}, BODY],
    "more than it said": [
        {**START, "headers": [(b"content-length", b"2")]},
        {**BODY, "more_body": True},
        {**BODY, "body": b"xx"},
    ],
    "two heads": [START, START, BODY],
    "a body that is text": [START, {**BODY, "body": "x"}],
    "a number": [START, {**BODY, "body": 5}],
    "half, then text": [START, {**BODY, "more_body": True}, {**BODY, "body": "x"}],
    "half, then another type": [START, {**BODY, "more_body": True}, {"type": "bogus"}],
}
"""What cannot go on once it has begun."""
WHOLE: dict[str, list[Any]] = {
    "a framing of its own": [
        {**START, "headers": [(b"transfer-encoding", b"chunked"), (b"content-length", b"1")]},
        BODY,
    ],
    "another framing": [{**START, "headers": [(b"Transfer-Encoding", b"gzip")]}, BODY],
    "many headers": [{**START, "headers": [(b"x-%d" % n, b"%d" % n) for n in range(100)]}, BODY],
    "bytes of another kind": [
        {**START, "headers": [(bytearray(b"a"), memoryview(b"b"))]},
        {**BODY, "body": bytearray(b"x")},
    ],
    "more than the end": [START, BODY, BODY],
}
"""What is answered, and how often these are sent."""
MESSAGES |= HALVES | WHOLE


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, value: Any, headers: Any = ()) -> None:
    head = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


def mark(query: dict[str, str], text: str) -> None:
    Path(query["file"]).write_text(text)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/<what>/<argument>: see the names below."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    what, _, argument = scope["path"].strip("/").partition("/")
    query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
    if what == "tenant":
        seen = [loaded.get(), tenant.get(), structlog.contextvars.get_contextvars().get("tenant", "")]
        tenant.set(argument)
        structlog.contextvars.bind_contextvars(tenant=argument)
        await asyncio.sleep(0)
        await answer(send, [*seen, tenant.get()])
    elif what == "raise":
        if query.get("late"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise HOW[argument]("of the app")
    elif what == "fails":
        # As frameworks do it: an answer of their own, then the server is told.
        await send({**START, "status": 500})
        await send(BODY)
        raise RuntimeError(f"told {argument}")
    elif what == "says":
        for message in MESSAGES[argument]:
            await send(message)
    elif what == "task":

        async def fail() -> None:
            raise HOW[argument]("of a task of the app")

        kept.add(asyncio.get_running_loop().create_task(fail()))
        await answer(send, "begun")
    elif what == "cancelall":
        for one in asyncio.all_tasks():
            one.cancel()
        await asyncio.sleep(0)
    elif what == "headers":
        await answer(send, "fine", [(b"x-%d" % n, b"y" * int(query["each"])) for n in range(int(query["times"]))])
    elif what == "behind":
        await answer(send, "before")
        await asyncio.sleep(float(argument))
        mark(query, "done")
    elif what == "cycle":
        cycles.add(Cycle())
        await answer(send, len(cycles))
    elif what == "stubborn":
        await answer(send, "before")
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                mark(query, "cancelled")
    else:
        await answer(send, scope["raw_path"].decode())


async def starts(scope: Any, receive: Any, send: Any, how: str) -> None:
    """An app whose lifespan goes wrong in the way of this name."""
    if scope["type"] != "lifespan":
        await answer(send, "served")
        return
    if how == "knows none":
        raise NotImplementedError("what is a lifespan?")
    if how == "ignores it":
        return
    await receive()
    if how == "hangs":
        print("it hangs", file=sys.stderr)
        await asyncio.Event().wait()
    elif how == "will not be cancelled":
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
    elif how == "raises":
        raise RuntimeError("no database")
    elif how == "exits":
        sys.exit(3)
    elif how == "says so":
        await send({"type": "lifespan.startup.failed", "message": "first line\nno database"})
    warnings.warn("it only ends", stacklevel=1)


def _starting(how: str) -> Any:
    async def made(scope: Any, receive: Any, send: Any) -> None:
        await starts(scope, receive, send, how)

    return made


knows_none = _starting("knows none")
ignores_it = _starting("ignores it")
hangs = _starting("hangs")
will_not_be_cancelled = _starting("will not be cancelled")
raises = _starting("raises")
exits = _starting("exits")
says_so = _starting("says so")
only_ends = _starting("only ends")
