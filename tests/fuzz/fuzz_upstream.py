"""An upstream in this process that answers well, badly or not at all, as a seed and the request decide.

What is asked for below /fine is answered well. A batch is taken apart as far as it can be, and its answer is often no
answer at all. Must never send more than one answer to a request: what an upstream sends unasked is the next caller's.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from typing import Any

DEEP = 5000
CONTENT_ID = re.compile(rb"(?im)^content-id: *(\S+)")

BODIES: list[tuple[str, bytes]] = [
    ("application/json", b'{"v":1,"a":{"b":[1,2,{"c":"x"}]},"@odata.etag":"W/\\"1\\""}'),
    ("application/json", b'{"value":[{"id":1},{"id":2}],"@odata.nextLink":"x?$skip=1"}'),
    ("application/json", b"[" * DEEP + b"]" * DEEP),
    ("application/json", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    ("application/json", b'{"@odata.etag":"\\ud800","v":"\\udfff\\ud800"}'),
    ("application/json", b'{"v":"\\ud83d\\ude00","v":2,"v":null}'),
    ("application/json", b'{"v":1e999999,"w":-0,"x":' + b"9" * 5000 + b"}"),
    ("application/json", b'{"v":'),
    ("application/json", b"OK"),
    ("application/json", b""),
    ("application/json", b"   "),
    ("application/json", b"null"),
    ("application/json", b'"$1"'),
    ("application/json; charset=utf-16", '{"v":1}'.encode("utf-16")),
    ("application/json; charset=latin-1", b'{"v":"\xe4"}'),
    ("application/json", b'{"v":"\xff\xfe"}'),
    ("text/plain", b"\xff\x00\x80 text"),
    ("text/plain; charset=utf-8", "Grüße\r\n--b--\r\n".encode()),
    ("application/octet-stream", bytes(range(256)) * 20),
    ("image/png", b"\x89PNG" * 30_000),
    ("", b"no type"),
    ("multipart/mixed; boundary=b", b"--b\r\n\r\n--b--\r\n"),
    (";;;", b'{"v":1}'),
]
LOCATIONS = [
    "Items(1)",
    "/Items(1)",
    "",
    "//evil.example/x",
    "http://other.example/x",
    "Items(1)?x=1#f",
    "../../x",
    "%",
]
HEADS: list[bytes] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000 + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 99 X\r\n\r\n",
    b"HTTP/1.1 1000 X\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"nonsense",
    b"",
]
CHUNKS = [
    b"zz\r\nhello\r\n",
    b"ffffffffffffffffff\r\nx",
    b"5\r\nhelloXX0\r\n\r\n",
    b'5;ext="a"\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n',
    b"3\r\nab",
    b"-1\r\n\r\n",
    b"0\r\n",
    b"\r\n",
]


class HostileUpstream:
    def __init__(self, chance: random.Random) -> None:
        self.seed = chance.random()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> HostileUpstream:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        line = head.partition(b"\r\n")[0]
        if b" /fine" in line:
            writer.write(whole(200, "application/json", b'{"fine":1}'))
            await writer.drain()
            return True
        chance = random.Random(f"{self.seed}/{line!r}/{body!r}")
        data = batch_answer(chance, head, body) if line.startswith(b"POST /$batch") else answer(chance)
        return await self._send(chance, writer, data)

    @staticmethod
    async def _send(chance: random.Random, writer: asyncio.StreamWriter, data: bytes) -> bool:
        way = chance.random()
        if way < 0.05:
            own: socket.socket = writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.write(data[: chance.randint(0, len(data))])
            return False
        if way < 0.10:
            writer.write(data[: chance.randint(0, len(data))])
            return False
        if way < 0.13:
            writer.write(data[: chance.randint(0, len(data))])
            await writer.drain()
            await asyncio.sleep(2)  # longer than a call may take
            return False
        if way < 0.16:
            data = b"HTTP/1.1 100 Continue\r\n\r\n" * chance.choice((1, 2, 200)) + data
        elif way < 0.18:
            data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + data
        if way < 0.3:
            step = max(1, len(data) // chance.randint(1, 40))
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()
                await asyncio.sleep(0)
        else:
            writer.write(data)
            await writer.drain()
        # What is not a whole answer ends with its connection, so that nobody waits for the rest.
        return data.startswith(b"HTTP/1.1 20") and b"\r\nX-Whole: " in data[:400]


def whole(status: int, media: str, body: bytes, fields: tuple[str, ...] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "X-Whole: y", f"Content-Length: {len(body)}", *fields]
    if media:
        lines.append(f"Content-Type: {media}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.08:
        return chance.choice(HEADS)
    if kind < 0.14:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        return head + chance.choice(CHUNKS)
    media, body = chance.choice(BODIES)
    status = chance.choice((200, 200, 200, 201, 204, 304, 302, 400, 401, 404, 409, 429, 500, 503, 599))
    if status in (204, 304):
        return f'HTTP/1.1 {status} X\r\nX-Whole: y\r\nETag: W/"1"\r\n\r\n'.encode()
    fields: list[str] = []
    if chance.random() < 0.4:
        fields.append(f"Location: {chance.choice(LOCATIONS)}")
    if chance.random() < 0.4:
        fields.append("ETag: " + chance.choice(('W/"1"', "", '"', "\xff", "x" * 3000)))
    if chance.random() < 0.1:
        fields.append("Preference-Applied: return=minimal, " + "x" * chance.randint(0, 200))
    return whole(status, media, body, tuple(fields))


# --- answers to whole batches


def batch_answer(chance: random.Random, head: bytes, body: bytes) -> bytes:
    if chance.random() < 0.15:
        return answer(chance)
    if b"application/json" in head.lower():
        text, media = json_batch(chance, body), "application/json"
    else:
        text, media = multipart_batch(chance, body), "multipart/mixed; boundary=outer"
    if chance.random() < 0.1 and text:
        at = chance.randrange(len(text))
        text = text[:at] + bytes([chance.randrange(256)]) + text[at + chance.choice((0, 1, 20)) :]
    return whole(chance.choice((200, 200, 200, 200, 202, 204, 401, 503)), media, text)


WRONG_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1 << 70,
    1.5,
    "",
    "x",
    "\ud800",
    [],
    [[]],
    ["x"],
    {},
    {"a": {}},
    {"x": None},
]


def json_batch(chance: random.Random, body: bytes) -> bytes:
    try:
        ids = [(one["id"], one.get("atomicityGroup")) for one in json.loads(body)["requests"]]
    except (ValueError, KeyError, TypeError):
        ids = []
    responses: list[Any] = []
    for name, group in ids:
        media, value = chance.choice(BODIES[:2] + BODIES[:8])
        one: dict[str, Any] = {
            "id": name,
            "status": chance.choice((200, 200, 201, 404)),
            "headers": {"content-type": media},
        }
        if group is not None:
            one["atomicityGroup"] = group
        try:
            one["body"] = json.loads(value)
        except (ValueError, RecursionError):
            one["body"] = "?"
        if chance.random() < 0.15:
            one[chance.choice(("id", "status", "headers", "body", "atomicityGroup", "extra"))] = chance.choice(
                WRONG_VALUES
            )
        if chance.random() < 0.05:
            one.pop(chance.choice(list(one)))
        if chance.random() < 0.1:
            one["headers"] = {chance.choice(("etag", "location", "a b", "", "x\r\n")): chance.choice(WRONG_VALUES)}
        if chance.random() < 0.05:
            responses.append(one)
        if chance.random() > 0.03:
            responses.append(one)
    chance.shuffle(responses)
    whole_answer: Any = {"responses": responses}
    kind = chance.random()
    if kind < 0.05:
        whole_answer = chance.choice(
            [responses, [1, 2, 3], [], {}, {"responses": {}}, {"responses": [1, [], None]}, "x", 1]
        )
    elif kind < 0.1:
        whole_answer["@nextLink"] = "$batch?next"
    text = json.dumps(whole_answer).encode()
    if kind > 0.97:
        text = text.replace(b'"body": ', b'"body": ' + b"[" * DEEP + b"]" * DEEP + b', "b": ', 1)
    return text


def multipart_batch(chance: random.Random, body: bytes) -> bytes:
    def part(name: bytes) -> bytes:
        media, value = chance.choice(BODIES)
        lines = chance.choice((b"HTTP/1.1 200 OK", b"HTTP/1.1 201 X", b"HTTP/1.1 404 X", b"HTTP/1.1 x", b""))
        head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        if chance.random() > 0.1:
            head += b"Content-ID: " + (name if chance.random() > 0.05 else b"other") + b"\r\n"
        message = lines + b"\r\nContent-Type: " + media.encode() + b"\r\n\r\n" + value
        return head + b"\r\n" + message

    def joined(parts: list[bytes], boundary: bytes) -> bytes:
        end = chance.choice((b"--\r\n", b"--\r\n", b"--", b"", b"-"))
        return b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in parts) + b"--" + boundary + end

    def nested(parts: list[bytes]) -> bytes:
        return b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n" + joined(parts, b"inner")

    parts = [part(found) for found in CONTENT_ID.findall(body)]
    if chance.random() < 0.5:
        parts = [nested(parts)]
    if chance.random() < 0.05:
        parts = [nested([nested(parts)])]
    if parts and chance.random() < 0.1:
        parts.pop()
    return joined(parts, b"outer")
