"""Part `memory`: one streamed batch of a million calls, and what the gateway's memory does meanwhile.

The client makes each call as it sends it and reads results at the same time; neither side ever holds the
batch. Also shows that calls run while the document is still being read, and results leave before its end.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import httptools

from . import servers
from .messages import check_answer, grpc_message, json_call
from .processes import PeakMemory
from .progress import say
from .servers import Gateway
from .settings import CALLS_PER_MESSAGE, Settings
from .table import Outcome, Table, number
from .upstream import Upstream

_WARM_UP = 2000
_PIECE = 500
_STATUS = b'"status":200'


@dataclass
class Stamps:
    """Unix times as the client saw them, in seconds."""

    start: float = 0.0
    first_result: float = 0.0
    document_end: float = 0.0
    end: float = 0.0


def _pieces(calls: int) -> Iterator[bytes]:
    """The JSON batch document, some hundred calls a piece."""
    for first in range(0, calls, _PIECE):
        numbers = range(first, min(calls, first + _PIECE))
        opening = b"," if first else b'{"requests":['
        yield opening + b",".join(json_call(number, calls - 1) for number in numbers)
    yield b"]}"


class _Answer:
    """Counts results in the body of an HTTP answer as it arrives (methods as httptools calls them)."""

    def __init__(self, stamps: Stamps) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.results = 0
        self.complete = False
        self._stamps = stamps
        self._tail = b""

    def on_body(self, body: bytes) -> None:
        text = self._tail + body
        self.results += text.count(_STATUS)
        self._tail = text[1 - len(_STATUS) :]
        if self.results and not self._stamps.first_result:
            self._stamps.first_result = time.time()

    def on_message_complete(self) -> None:
        self.complete = True


async def _stream_rest(target: str, calls: int) -> Stamps:
    host, port = target.rsplit(":", 1)
    stamps = Stamps(time.time())
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /$batch HTTP/1.1\r\nhost: {target}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())

    async def send() -> None:
        for piece in _pieces(calls):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        stamps.document_end = time.time()

    sending = asyncio.ensure_future(send())
    answer = _Answer(stamps)
    while not answer.complete and (data := await reader.read(1 << 18)):
        answer.parser.feed_data(data)
    stamps.end = time.time()
    await sending
    writer.close()
    if answer.parser.get_status_code() != 200 or answer.results != calls or not answer.complete:
        raise ValueError(f"REST: {answer.results} of {calls} calls succeeded, complete: {answer.complete}")
    return stamps


async def _stream_grpc(target: str, calls: int) -> Stamps:
    stamps = Stamps(time.time())
    unlimited = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=unlimited) as channel:
        call = channel.stream_stream("/batchwire.v1.BatchService/Batch")()

        async def send() -> None:
            for first in range(0, calls, CALLS_PER_MESSAGE):
                await call.write(grpc_message(first, min(calls, first + CALLS_PER_MESSAGE), calls - 1))
            await call.done_writing()
            stamps.document_end = time.time()

        sending = asyncio.ensure_future(send())
        last = b""
        while (message := await call.read()) is not grpc.aio.EOF:
            last = message
            stamps.first_result = stamps.first_result or time.time()
        stamps.end = time.time()
        await sending
        check_answer(last, calls)
    return stamps


def _measure(front: str, gateway: Gateway, upstream: Upstream, calls: int) -> tuple[Stamps, PeakMemory]:
    stream = _stream_rest if front == "rest" else _stream_grpc
    target = gateway.addresses[front]
    asyncio.run(stream(target, _WARM_UP))
    upstream.forget_marks()
    with PeakMemory(gateway.pid) as memory:
        stamps = asyncio.run(stream(target, calls))
    return stamps, memory


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """One batch over REST JSON and one over gRPC, each to a fresh batchwire."""
    calls = settings.memory_calls
    outcome = Outcome()
    sizes = Table(
        f"Memory: one streamed batch of {calls:,} GETs",
        ["front", "RSS before MiB", "peak MiB", "growth MiB", "calls/s"],
        notes=[f"Before: after the start and a batch of {_WARM_UP:,} calls. One batch a front, no rounds."],
    )
    times = Table(
        f"Overlap: the same batch of {calls:,}, seconds since its first byte was sent",
        ["front", "first call at nginx", "first result", "document sent", "last call at nginx", "end"],
        notes=["A streaming gateway shows the first two columns long before the other three."],
    )
    for front in ("grpc", "rest"):
        say(f"memory: {calls:,} calls over {front}")
        with servers.batchwire(upstream) as gateway:
            stamps, memory = _measure(front, gateway, upstream, calls)
        growth = (memory.peak - memory.before) / 2**20
        marks = upstream.marks()
        name = {"grpc": "gRPC", "rest": "REST JSON"}[front]
        rate = calls / (stamps.end - stamps.start)
        in_mib = [number(memory.before / 2**20), number(memory.peak / 2**20), number(growth)]
        sizes.rows.append([name, *in_mib, number(rate)])
        moments = [marks["first"], stamps.first_result, stamps.document_end, marks["last"], stamps.end]
        times.rows.append([name, *(f"{moment - stamps.start:.3f}" for moment in moments)])
        outcome.figures[f"memory/{front}/growth_mib"] = growth
        outcome.figures[f"memory/{front}/first_call_lead_s"] = stamps.document_end - marks["first"]
        outcome.figures[f"memory/{front}/first_result_lead_s"] = marks["last"] - stamps.first_result
    outcome.tables = [sizes, times]
    return outcome
