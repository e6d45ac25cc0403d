"""A scripted HTTP/1.1 upstream over real sockets, in a thread with its own event loop.

It answers by (method, path with query as forwarded) and keeps a log of every call it received. It
must never answer a call that the test did not script with a success: an unscripted call is 404 and
stands in the log, so that a multiset of calls catches it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Headers = list[tuple[str, str]]


class Gate:
    """Holds answers back until `open()`; may be opened from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


@dataclass
class Reply:
    """One answer. `chunked` sends the body in chunks; `gate` and `delay` (seconds) hold it back."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0
    gate: Gate | None = None
    chunked: bool = False
    expect_body: bytes | None = None
    expect_headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Received:
    """One call as it arrived. Header names are lower-case; times are time.monotonic() seconds."""

    method: str
    path: str
    headers: Headers
    body: bytes
    connection: int
    started: float
    finished: float | None = None
    aborted: bool = False

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    def header(self, name: str) -> str | None:
        """The value of a header, several fields joined with ", "; None when absent."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


def json_reply(value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = (), **more: Any) -> Reply:
    """A reply with a JSON body and exactly `application/json` as its type."""
    fields = [*headers]
    if not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", "application/json"))
    return Reply(status, fields, json.dumps(value, separators=(",", ":")).encode(), **more)


def odata_error(status: int, code: str = "Broken", message: str = "no", **more: Any) -> Reply:
    """An OData error object as an upstream gives it."""
    return json_reply({"error": {"code": code, "message": message}}, status, **more)


def reply_of_row(row: Mapping[str, Any]) -> Reply:
    """Turns one `upstream_behaviour` row of the vectors into a reply."""
    if "body" in row:
        body = json.dumps(row["body"], ensure_ascii=False).encode()
    elif "body_base64" in row:
        body = base64.b64decode(row["body_base64"])
    else:
        body = str(row.get("body_text", "")).encode()
    expect: bytes | None = None
    if "request_body_text" in row:
        expect = str(row["request_body_text"]).encode()
    elif "request_body_base64" in row:
        expect = base64.b64decode(row["request_body_base64"])
    return Reply(
        int(row["status"]),
        list(row.get("headers", {}).items()),
        body,
        expect_body=expect,
        expect_headers=dict(row.get("request_headers", {})),
    )


class ScriptedUpstream:
    """The server. Scripts are set per test: `reset()`, then `on()` or `fallback`."""

    def __init__(self) -> None:
        self.log: list[Received] = []
        self.problems: list[str] = []
        self.fallback: Callable[[Received], Reply] | None = None
        self.keep_log = True
        self.port = 0
        self.accepted = 0
        self.open_connections = 0
        self.current = 0
        self.peak = 0
        self._rows: dict[tuple[str, str], Reply] = {}
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="scripted-upstream", daemon=True)

    def __enter__(self) -> ScriptedUpstream:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted upstream did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Forgets scripts and log. Calls that still run do not show up in the new log."""
        with self._changed:
            self._generation += 1
            self._rows = {}
            self.log = []
            self.problems = []
            self.fallback = None
            self.keep_log = True
            self.accepted = 0
            self.current = 0
            self.peak = 0

    def on(self, method: str, path: str, reply: Reply | None = None) -> None:
        self._rows[method, path] = reply if reply is not None else json_reply({"path": path})

    def gate(self) -> Gate:
        return Gate(self._loop)

    @property
    def lines(self) -> list[str]:
        return [call.line for call in list(self.log)]

    def call(self, line: str) -> Received:
        """The only call with this "METHOD path"."""
        found = [call for call in list(self.log) if call.line == line]
        assert len(found) == 1, f"{line} came {len(found)} times; log: {self.lines}"
        return found[0]

    def wait_until(self, condition: Callable[[], bool], timeout: float = 15.0) -> bool:
        """Waits until the condition holds, looked at on every event of the upstream."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def wait_for_calls(self, count: int, timeout: float = 15.0) -> None:
        assert self.wait_until(lambda: len(self.log) >= count, timeout), f"only {self.lines} of {count} calls"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _note(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _count_connection(self, by: int) -> None:
        self.open_connections += by
        self.accepted += by > 0

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._note(lambda: self._count_connection(1))
        number = next(self._numbers)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            self._note(lambda: self._count_connection(-1))

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        started = time.monotonic()
        line, *fields = head[:-4].split("\r\n")
        method, path, version = line.split(" ")
        headers = [(n.lower(), v.strip()) for n, v in (f.split(":", 1) for f in fields)]
        generation = self._generation
        call = Received(method, path, headers, await self._body(reader, headers), number, started)
        if version != "HTTP/1.1":
            self.problems.append(f"{line}: version {version}")

        def arrived() -> None:
            if self.keep_log:
                self.log.append(call)
            self.current += 1
            self.peak = max(self.peak, self.current)

        self._note(arrived)
        try:
            reply = self._reply(call)
            if (reply.gate or reply.delay) and not await self._held(reader, reply):
                call.aborted = True
                return False
            writer.write(self._encode(method, reply))
            await writer.drain()
        finally:

            def left() -> None:
                call.finished = time.monotonic()
                self.current -= generation == self._generation

            self._note(left)
        return True

    @staticmethod
    async def _held(reader: asyncio.StreamReader, reply: Reply) -> bool:
        """Waits for gate and delay; False when the gateway gave the connection up meanwhile."""

        async def wait() -> None:
            if reply.gate is not None:
                await reply.gate.wait()
            if reply.delay:
                await asyncio.sleep(reply.delay)

        held = asyncio.ensure_future(wait())
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({held, gone}, return_when=asyncio.FIRST_COMPLETED)
            return held.done()
        finally:
            for task in (held, gone):
                task.cancel()
            await asyncio.gather(held, gone, return_exceptions=True)

    @staticmethod
    async def _body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
        fields = dict(headers)
        if "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while size := int((await reader.readline()).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
            return body
        return await reader.readexactly(int(fields.get("content-length", "0")))

    def _reply(self, call: Received) -> Reply:
        reply = self._rows.get((call.method, call.path))
        if reply is None and self.fallback is not None:
            reply = self.fallback(call)
        if reply is None:
            return odata_error(404, "Unscripted", call.line)
        wrong = [
            f"{call.line}: {name}: {call.header(name)!r}, expected {value!r}"
            for name, value in reply.expect_headers.items()
            if call.header(name) != value
        ]
        if reply.expect_body is not None and reply.expect_body != call.body:
            wrong.append(f"{call.line}: body {call.body!r}, expected {reply.expect_body!r}")
        self.problems.extend(wrong)
        return odata_error(500, "Unexpected", "; ".join(wrong)) if wrong else reply

    @staticmethod
    def _encode(method: str, reply: Reply) -> bytes:
        fields = [f"{name}: {value}" for name, value in reply.headers]
        body = reply.body
        if reply.chunked:
            fields.append("Transfer-Encoding: chunked")
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif reply.status not in (204, 304):
            fields.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([f"HTTP/1.1 {reply.status} Scripted", *fields, "", ""])
        return head.encode("latin-1") + (b"" if method == "HEAD" else body)
