"""What the tests of the core share: raw servers on the loopback, and sessions driven over them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from batchwire.core import EnvelopeError, HttpUpstream, Route, Session
from batchwire.v1 import batch_pb2 as pb


@dataclass
class Request:
    """One request as a server saw it. connection: number of the connection, from 0."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    connection: int

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def answer(status: int = 200, body: bytes = b"", headers: Iterable[tuple[str, str]] = (), reason: str = "X") -> bytes:
    """The bytes of an ordinary answer."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(request: Request) -> bytes:
    """200 with the target as body; 404 when the target has "missing" in it."""
    status = 404 if b"missing" in request.target else 200
    return answer(status, request.target, [("Content-Type", "text/plain")])


Answering = Callable[[Request], "bytes | Awaitable[bytes | None] | None"]


@dataclass
class RawServer:
    """Answers every request with what `answering` gives; None closes the connection.

    serve: handles whole connections instead. Counts: requests, accepted and now open connections.
    """

    answering: Answering = echo
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
    tls: ssl.SSLContext | None = None
    path: str | None = None
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    open: int = 0
    most_open: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    port: int = 0
    server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if self.path is not None:
            self.server = await asyncio.start_unix_server(self._accept, self.path, ssl=self.tls)
        else:
            self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
            self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()
        for task in self.tasks:
            task.cancel()
        # One that is cancelled before it has begun cannot suppress that.
        for ended in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits for something to become true; looked at whenever a count changes."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(true)

    async def _note(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _guard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.accepted += 1
        await self._note()
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError
            ):
                await (self.serve or self._serve)(reader, writer)
        finally:
            writer.close()
            self.open -= 1
            await self._note()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.accepted - 1
        while True:
            request = await read_request(reader, number)
            self.requests.append(request)
            await self._note()
            given = self.answering(request)
            data = given if given is None or isinstance(given, bytes) else await given
            if data is None:
                break
            writer.write(data)
            await writer.drain()


async def turned(true: Callable[[], bool]) -> None:
    """Lets the loop turn until something is true that nobody tells of."""
    for _ in range(100_000):
        if true():
            return
        await asyncio.sleep(0)
    raise TimeoutError


async def read_request(reader: asyncio.StreamReader, connection: int = 0) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    method, target, _ = lines[0].split(b" ")
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(b": ")
        headers.append((name, value))
    length = int(next((value for name, value in headers if name.lower() == b"content-length"), b"0"))
    body = await reader.readexactly(length) if length else b""
    return Request(method, target, headers, body, connection)


@contextlib.asynccontextmanager
async def upstream_of(server: RawServer, **options: Any) -> AsyncIterator[HttpUpstream]:
    """An HttpUpstream for a server, closed at the end."""
    if server.path is not None:
        options.setdefault("unix_path", server.path)
    else:
        options.setdefault("addresses", [server.address])
    upstream = HttpUpstream(asyncio.get_running_loop(), name="test", **options)
    try:
        yield upstream
    finally:
        upstream.close()


@contextlib.asynccontextmanager
async def serving(answering: Answering = echo, **options: Any) -> AsyncIterator[tuple[RawServer, HttpUpstream, Route]]:
    """A server, its upstream and a route /svc/ to it. options: of HttpUpstream; limits, mounts: of Route."""
    kept = {name: options.pop(name) for name in ("limits", "mounts") if name in options}
    async with RawServer(answering) as server, upstream_of(server, **options) as upstream:
        yield server, upstream, Route(root="/svc/", upstream=upstream, **kept)


@dataclass
class Batch:
    """What came out of a session."""

    messages: list[pb.BatchResponse] = field(default_factory=list)
    failure: EnvelopeError | None = None

    @property
    def results(self) -> list[pb.Result]:
        return [result for message in self.messages for result in message.results]

    @property
    def statuses(self) -> dict[str, int]:
        return {result.id: result.status for result in self.results}

    @property
    def order(self) -> list[str]:
        return [result.id for result in self.results]

    @property
    def summary(self) -> pb.BatchSummary:
        assert self.messages
        assert self.messages[-1].HasField("summary")
        return self.messages[-1].summary

    def __getitem__(self, name: str) -> pb.Result:
        found = [result for result in self.results if result.id == name]
        assert len(found) == 1, f"{len(found)} results for {name}"
        return found[0]


def header(result: pb.Result, name: str) -> str | None:
    return next((field.value for field in result.headers if field.name == name), None)


def code(result: pb.Result) -> str:
    """The code in the body of the gateway's own answer."""
    import json

    return str(json.loads(result.body)["error"]["code"])


def call(name: str, url: str = "x", method: str = "GET", **rest: Any) -> pb.Call:
    """A Call; headers may be given as pairs, timeout in seconds."""
    if "headers" in rest:
        rest["headers"] = [pb.Header(name=key, value=value) for key, value in rest["headers"]]
    seconds = rest.pop("timeout", None)
    made = pb.Call(id=name, method=method, url=url, **rest)
    if seconds is not None:
        made.timeout.FromNanoseconds(int(seconds * 1e9))
    return made


def session_of(route: Route, **options: Any) -> Session:
    options.setdefault("dialect", "proto")
    return Session(asyncio.get_running_loop(), route, **options)


def drain(session: Session, batch: Batch) -> None:
    while (chunk := session.take()) is not None:
        batch.messages.append(pb.BatchResponse.FromString(chunk))


async def collect(session: Session) -> Batch:
    """Takes everything until the end."""
    batch = Batch()
    async with asyncio.timeout(30):
        while True:
            await session.wait_output()
            drain(session, batch)
            if session.finished:
                break
    batch.failure = session.failure
    return batch


async def taken(session: Session) -> bytes:
    """The rest of the answer, a document, to its end."""
    text = b""
    async with asyncio.timeout(60):
        while not session.finished:
            await session.wait_output()
            while (chunk := session.take()) is not None:
                text += chunk
    return text


async def run(route: Route, calls: Sequence[pb.Call], *, options: pb.BatchOptions | None = None, **more: Any) -> Batch:
    """Runs one batch of one message. more: of Session."""
    session = session_of(route, **more)
    session.feed(pb.BatchRequest(options=options, calls=calls).SerializeToString())
    session.feed_end()
    return await collect(session)
