"""The load generator: sends the same batch again and again, in its own process, and prints one JSON line.

Requests are encoded beforehand; of an answer only what proves that all calls succeeded is read: the
summary in the last gRPC message, or the count of successes in a document. It must stay light:
it shares the cores with what it measures.
"""

import argparse
import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from .messages import BOUNDARY, check_answer, grpc_messages, json_document, multipart_document
from .processes import cpu_seconds

_METHOD = "/batchwire.v1.BatchService/Batch"


@dataclass(frozen=True)
class Rest:
    """How a batch is sent over HTTP, and what each of its calls leaves in the answer when it succeeded."""

    method: str
    path: str
    content_type: str
    encode: Callable[[int], bytes]
    success: bytes


_REST = {
    "rest": Rest("POST", "/$batch", "application/json", json_document, b'"status":200'),
    "document": Rest(
        "PUT",
        "/batch",
        f"multipart/mixed; boundary={BOUNDARY.decode()}",
        multipart_document,
        b"\r\n200 OK\r\n",
    ),
}


@dataclass
class Window:
    """A stretch of time in which one worker sends batches, and how long each took, in seconds.

    With `interval` 0 a worker sends the next batch when it has the answer. Otherwise batches are due
    every `interval` seconds, the first after `offset`, and the time counts from when a batch was due,
    sent late or not.
    """

    seconds: float
    interval: float = 0.0
    offset: float = 0.0
    took: list[float] = field(default_factory=list)

    def due(self) -> Iterator[float]:
        """When each batch is due, at least one, until the window is over (time.perf_counter)."""
        start = due = time.perf_counter() + self.offset
        while True:
            yield due
            now = time.perf_counter()
            self.took.append(now - due)
            due = due + self.interval if self.interval else now
            if due >= start + self.seconds:
                return


async def _grpc_worker(method: Any, messages: list[bytes], calls: int, window: Window) -> None:
    for due in window.due():
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        call = method()
        reading = asyncio.ensure_future(_last_message(call))
        for message in messages:
            await call.write(message)
        await call.done_writing()
        check_answer(await reading, calls)


async def _last_message(call: Any) -> bytes:
    last = b""
    while (message := await call.read()) is not grpc.aio.EOF:
        last = message
    return last


async def _run_grpc(options: argparse.Namespace, windows: list[Window]) -> None:
    messages = grpc_messages(options.calls)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(options.target, options=unlimited) as channel:
        method = channel.stream_stream(_METHOD)
        await asyncio.gather(*(_grpc_worker(method, messages, options.calls, window) for window in windows))


def _rest_worker(options: argparse.Namespace, way: Rest, body: bytes, window: Window) -> None:
    host, port = options.target.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    headers = {"content-type": way.content_type, "accept": "application/json"}
    for due in window.due():
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        connection.request(way.method, way.path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200 or text.count(way.success) != options.calls:
            good = f"{text.count(way.success)} of {options.calls} calls succeeded"
            raise ValueError(f"{answer.status}, {good}: {text[:300]!r}")
    connection.close()


def _run_rest(options: argparse.Namespace, windows: list[Window]) -> None:
    way = _REST[options.front]
    body = way.encode(options.calls)
    failures: list[Exception] = []

    def work(window: Window) -> None:
        try:
            _rest_worker(options, way, body, window)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(window,)) for window in windows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _run(options: argparse.Namespace, seconds: float) -> list[float]:
    interval = options.concurrency / options.rate if options.rate else 0.0
    # Workers take turns: batches are due one by one, not several together.
    turns = [number * interval / options.concurrency for number in range(options.concurrency)]
    windows = [Window(seconds, interval, turn) for turn in turns]
    if options.front == "grpc":
        asyncio.run(_run_grpc(options, windows))
    else:
        _run_rest(options, windows)
    return [took for window in windows for took in window.took]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Warms up for a third of the window, then measures it. CPU figures are microseconds a call."""
    _run(options, options.seconds / 3)
    watched = {"gateway": options.gateway_pid, "upstream": options.upstream_pid}
    before = {name: cpu_seconds(pid) for name, pid in watched.items()}
    own, start = time.process_time(), time.perf_counter()
    took = sorted(_run(options, options.seconds))
    seconds, own = time.perf_counter() - start, time.process_time() - own
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    calls = len(took) * options.calls
    return {
        "batches": len(took),
        "calls_per_second": calls / seconds,
        "cpu_us": spent["gateway"] / calls * 1e6,
        "upstream_us": spent["upstream"] / calls * 1e6,
        "generator_us": own / calls * 1e6,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[int(len(took) * 0.99)] * 1e3,
    }


def main() -> None:
    """Options: front (grpc, rest or document), target host:port, calls of a batch, batches at once, window, pids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--front", choices=["grpc", *_REST], required=True)
    parser.add_argument("--target", required=True)
    for name in ("calls", "concurrency", "gateway-pid", "upstream-pid"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="batches a second; 0: as they finish")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
