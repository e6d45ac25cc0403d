"""An upstream on raw sockets that misbehaves in a way named by the path of the request.

`/fine/...` is answered well, so that one batch can hold good and bad calls. Each fault is a coroutine
that gets the connection after the request's head and body were read; when it returns False the
connection is closed. Nothing here may depend on how the gateway reads answers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable

Fault = Callable[["FaultyUpstream", asyncio.StreamWriter], Awaitable[bool]]
FAULTS: dict[str, Fault] = {}
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FINE = JSON_HEAD + b"Content-Length: 11\r\n\r\n" + b'{"fine": 1}'


def fault(function: Fault) -> Fault:
    """Registers a fault under its name with dashes."""
    FAULTS[function.__name__.replace("_", "-")] = function
    return function


def sends(name: str, data: bytes, keep: bool = False) -> None:
    """Registers a fault that only sends these bytes, then keeps or closes the connection."""

    async def send(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return keep

    FAULTS[name] = send


def reset(writer: asyncio.StreamWriter) -> None:
    """Makes the close of this connection a TCP reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@fault
async def reset_before_head(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    reset(writer)
    return False


@fault
async def reset_mid_body(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    writer.write(JSON_HEAD + b'Content-Length: 1000\r\n\r\n{"half":')
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)
    return False


@fault
async def reset_without_length(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    writer.write(JSON_HEAD + b'\r\n{"half": 1}')
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)
    return False


async def stall(upstream: FaultyUpstream, writer: asyncio.StreamWriter, data: bytes) -> bool:
    writer.write(data)
    await writer.drain()
    await upstream.stopped.wait()
    return False


@fault
async def stall_before_head(upstream: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await stall(upstream, writer, b"")


@fault
async def stall_mid_head(upstream: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await stall(upstream, writer, b"HTTP/1.1 200 OK\r\nContent-")


@fault
async def stall_mid_body(upstream: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await stall(upstream, writer, JSON_HEAD + b'Content-Length: 1000\r\n\r\n{"half":')


@fault
async def stall_mid_chunk(upstream: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await stall(upstream, writer, JSON_HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"ha')


async def trickle(writer: asyncio.StreamWriter, head: bytes, piece: bytes) -> bool:
    """Sends piece after piece without end, until the other side goes away."""
    writer.write(head)
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)
    return False


@fault
async def trickled_body(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await trickle(writer, JSON_HEAD + b"Content-Length: 100000\r\n\r\n", b" ")


@fault
async def trickled_head(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    return await trickle(writer, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")


@fault
async def endless_head(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-A: %s\r\n" % (b"b" * 1000))
        await writer.drain()
    return False


@fault
async def endless_1xx(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await writer.drain()
    return False


@fault
async def endless_body(_: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"2000\r\n%s\r\n" % (b"z" * 0x2000))
        await writer.drain()
    return False


@fault
async def close_when_reused(upstream: FaultyUpstream, writer: asyncio.StreamWriter) -> bool:
    """Answers well, then closes after the gateway has taken the connection back, as an idle server does."""
    writer.write(FINE)
    await writer.drain()
    upstream.close_on_next.add(writer)
    return True


# Answers that are no answers: the call must fail with 502.
BAD_ANSWERS: dict[str, bytes] = {
    "close-at-once": b"",
    "eof-mid-head": b"HTTP/1.1 200 OK\r\nContent-Type: app",
    "eof-mid-body": JSON_HEAD + b'Content-Length: 1000\r\n\r\n{"half":',
    "eof-mid-chunk": JSON_HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"ha',
    "eof-before-last-chunk": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "garbage": b"\x00\xff this is no HTTP at all \r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "another-protocol": b"220 mail.example ESMTP\r\n\r\n",
    "http2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bad-version": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status-of-two-digits": b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-of-four-digits": b"HTTP/1.1 2000 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-of-letters": b"HTTP/1.1 abc Odd\r\nContent-Length: 0\r\n\r\n",
    "switching-protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "header-without-colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "header-with-nul": b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "header-block-too-large": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "bad-chunk-size": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "negative-chunk-size": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "huge-chunk-size": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "chunk-without-line-end": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n0\r\n\r\n",
    "two-lengths": JSON_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "negative-length": JSON_HEAD + b"Content-Length: -2\r\n\r\n{}",
    "length-of-letters": JSON_HEAD + b"Content-Length: two\r\n\r\n{}",
    "length-too-large": JSON_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "unknown-transfer-coding": JSON_HEAD + b"Transfer-Encoding: x-odd\r\n\r\n{}",
}
for _name, _data in BAD_ANSWERS.items():
    sends(_name, _data)

# JSON that is none: where the answer is JSON it is given as text or as bytes (AN-01).
BAD_JSON: dict[str, bytes] = {
    "json-truncated": b'{"a":',
    "json-html": b"<html></html>",
    "json-two-values": b"{}{}",
    "json-breaks-out": b'{}},{"id":"9","status":200,"body":{}',
    "json-bad-utf8": b'"\xff\xfe"',
    "json-control-character": b'"\n"',
    "json-nan": b"NaN",
    "json-single-quotes": b"{'a':1}",
}
for _name, _data in BAD_JSON.items():
    sends(_name, JSON_HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(_data), _data), keep=True)

sends("surplus-after-body", FINE + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", keep=True)
sends("body-with-204", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", keep=True)
sends("length-with-304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", keep=True)
sends(
    "a-few-1xx",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + FINE,
    keep=True,
)
sends("http-1-0", b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"fine": 1}')
sends("no-length", b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"fine": 1}')
sends("connection-close", FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
sends("lf-only", FINE.replace(b"\r\n", b"\n"), keep=True)
sends("empty-body", JSON_HEAD + b"Content-Length: 0\r\n\r\n", keep=True)
sends("no-reason", FINE.replace(b"200 OK", b"200"), keep=True)
sends(
    "text-of-bad-utf8",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\na\xff\xfe",
    keep=True,
)


class FaultyUpstream:
    """The server, in a thread of its own. `calls` counts requests by "METHOD /path"."""

    def __init__(self) -> None:
        self.port = 0
        self.calls: Counter[str] = Counter()
        self.open_connections = 0
        self.close_on_next: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self.stopped = asyncio.Event()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="faulty-upstream", daemon=True)

    def __enter__(self) -> FaultyUpstream:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the faulty upstream did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open_connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            self.close_on_next.discard(writer)
            self.open_connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split("\r\n", 1)[0].split(" ")
        length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
        await reader.readexactly(int(length.split(":")[1]))
        self.calls[f"{method} {path}"] += 1
        if writer in self.close_on_next:
            return False
        name = path.strip("/").partition("/")[0].partition("?")[0]
        if name == "fine":
            writer.write(FINE)
            await writer.drain()
            return True
        if name not in FAULTS:
            body = json.dumps({"error": {"code": "NoSuchFault", "message": name}}).encode()
            writer.write(b"HTTP/1.1 404 No\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            return True
        return await FAULTS[name](self, writer)
