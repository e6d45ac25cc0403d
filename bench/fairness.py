"""What one client's costly input does to another client: `python -m bench.fairness`, one row an input.

Each input is sent to a `batchwire serve` of its own process while another client asks for batches of one call on a
connection of its own, again and again; the row says how long the slowest of these took, what the gateway's memory rose
to above what it was before, and how long the input itself took. Upstreams (the other client has its own), gateway,
canary and sender are processes of their own. By hand, on a machine that does nothing else: it asserts nothing.
`--only WORD` runs some of the inputs.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .fairness_inputs import INPUTS, Input
from .processes import PeakMemory
from .table import Table

PAUSE_SECONDS = 0.002
LARGE = 16_000_000


def answer_of(target: str) -> tuple[bytes, bytes]:
    """(extra header lines, body) of the upstream's answer to a path."""
    if target.startswith("/keys/"):
        count = int(target.rpartition("/")[2])
        return b"", json.dumps({f"x{n}": n for n in range(count)}).encode()
    if target.startswith("/list/"):
        size = int(target.rpartition("/")[2])
        return b"", json.dumps({"a": [1] * (size // 4), "z": {"v": "last"}}).encode()
    if target.startswith("/etag/"):
        return b'ETag: "' + b"e" * int(target.split("/")[2]) + b'"\r\n', b"{}"
    if target.startswith("/large"):
        return b"", b'"' + b"x" * LARGE + b'"'
    return b"", b"{}"


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers: dict[str, tuple[bytes, bytes]] = {}
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
            if length:
                await reader.readexactly(length)
            target = lines[0].split(" ")[1]
            if target.startswith("/slow"):
                await asyncio.sleep(2)
            if target.endswith("/$batch"):
                extra, body = b"", b'{"responses":[]}'
            else:
                extra, body = answers.setdefault(target, answer_of(target)) if len(answers) < 64 else answer_of(target)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
            writer.write(extra + b"\r\n" + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
        writer.close()


async def upstream() -> None:
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def canary(port: int) -> None:
    """Batches of one call until stdin ends; prints how many there were and the seconds of the slowest."""
    body = b'{"requests":[{"id":"1","method":"get","url":"ok"}]}'
    request = (
        b"POST /other/$batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    os.set_blocking(0, False)
    slowest, count = 0.0, 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while sys.stdin.buffer.raw.read(1) != b"":
            began = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while b"}]}" not in answer:
                answer += connection.recv(65536)
            assert b'"status":200' in answer, answer
            if count:
                slowest = max(slowest, time.perf_counter() - began)
            count += 1
            if count == 1:
                print("ready", flush=True)
            time.sleep(PAUSE_SECONDS)
    print(count, slowest, flush=True)


def send(port: int, wanted: Input) -> None:
    """Sends an input, each request on a connection of its own, and reads the answers where it is one that reads."""
    connections = []
    for request in wanted.requests():
        connection = socket.create_connection(("127.0.0.1", port))
        connections.append(connection)
        exchange(connection, request, wanted.reads)
    if not wanted.reads:
        time.sleep(3)
    for connection in connections:
        connection.close()


def exchange(connection: socket.socket, request: Iterator[bytes], reads: bool) -> None:
    connection.settimeout(60)
    child = os.fork()
    if child == 0:
        try:
            for piece in request:
                connection.sendall(piece)
        except OSError:
            pass
        os._exit(0)
    if reads:
        while connection.recv(1 << 18):
            pass
        os.waitpid(child, 0)


class Child:
    """A process of this module, or any other command; ended with the block."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end_of_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


def part(*arguments: str) -> Child:
    return Child(sys.executable, "-m", "bench.fairness", *arguments)


CONFIG = """
[listen]
http = "127.0.0.1:{port}"
grpc = "127.0.0.1:{grpc}"
[log]
format = "json"
level = "error"
[limits]
grpc_max_message_bytes = 16777216
[upstreams.plain]
url = "http://127.0.0.1:{upstream}/"
[upstreams.batching]
url = "http://127.0.0.1:{upstream}/"
batch = "json"
[upstreams.other]
url = "http://127.0.0.1:{other}/"
[[routes]]
root = "/svc/"
upstream = "plain"
default = true
[[routes]]
root = "/other/"
upstream = "other"
[[routes]]
root = "/groups/"
upstream = "batching"
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the gateway does not listen")


def measure(wanted: Input) -> list[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, part("--upstream") as above, part("--upstream") as other:
        config = Path(folder) / "gateway.toml"
        config.write_text(CONFIG.format(port=port, grpc=free_port(), upstream=above.line(), other=other.line()))
        with Child(sys.executable, "-m", "batchwire.service", "serve", "--config", str(config)) as gateway:
            wait_for(port)
            with part("--canary", str(port)) as watcher:
                watcher.line()
                with PeakMemory(gateway.process.pid) as memory:
                    began = time.perf_counter()
                    with part("--send", wanted.name, "--port", str(port)) as sender:
                        sender.process.wait()
                    took = time.perf_counter() - began
                watcher.end_of_input()
                count, slowest = watcher.line().split()
    grown = (memory.peak - memory.before) / (1 << 20)
    return [wanted.name, f"{float(slowest) * 1000:.0f}", count, f"{grown:.0f}", f"{took:.1f}"]


def report(chosen: list[Input], show: Callable[[str], None]) -> None:
    table = Table("Fairness", ["input", "slowest ms", "batches of the other", "memory MiB", "input s"])
    for wanted in chosen:
        table.rows.append(measure(wanted))
        show(" | ".join(table.rows[-1]))


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    arguments.add_argument("--only", default="", help="inputs whose name has this word")
    arguments.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    for name in ("--canary", "--port"):
        arguments.add_argument(name, type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--send", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.upstream:
        asyncio.run(upstream())
    elif given.canary:
        canary(given.canary)
    elif given.send:
        send(given.port, next(one for one in INPUTS if one.name == given.send))
    else:
        report([one for one in INPUTS if given.only in one.name], print)


if __name__ == "__main__":
    main()
