"""Speed of the JSON dialect on one core: MB/s of documents read into Calls, and of answers written.

    python bench/json_speed.py [--chunk BYTES] [--rounds N]

Reading feeds chunks as a socket would and takes real Calls; writing turns one Result after another into a
response object. Figures are medians over the rounds, MB = 10^6 bytes, and include what the Python loop around
the core costs (about 0.1 us a call). Must never print a figure of a run that gave the wrong number of calls.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.dialects.json_writer import JsonWriter
from batchwire.core.model import Call, Result

TOTAL_BYTES = 8_000_000
ANSWER_HEADERS = [
    (b"date", b"Tue, 24 Nov 2026 10:00:00 GMT"),
    (b"server", b"nginx/1.24.0"),
    (b"content-type", b"application/json;odata.metadata=minimal"),
    (b"content-length", b"100"),
    (b"connection", b"keep-alive"),
    (b"odata-version", b"4.01"),
    (b"etag", b'W/"08D1694BD49A0F11"'),
]


def entity(number: int, size: int) -> dict[str, Any]:
    """An entity of roughly `size` bytes of JSON."""
    order = {
        "@odata.etag": f'W/"{number}"',
        "ID": number,
        "Name": f"Customer {number}",
        "Paid": True,
        "Total": 12.5,
    }
    entities: dict[str, Any] = {"ID": number, "Name": f"Customer {number}", "Active": True}
    if size > 200:
        entities["Orders"] = [order] * (size // 90)
    return entities


def request(number: int, shape: str) -> dict[str, Any]:
    call: dict[str, Any] = {"id": str(number), "method": "GET", "url": f"/svc/Customers({number})"}
    if shape == "get":
        call["headers"] = {"accept": "application/json"}
        return call
    call["method"] = "POST"
    call["headers"] = {
        "content-type": "application/json",
        "accept": "application/json",
        "prefer": "return=minimal",
    }
    if shape == "text":
        call["headers"]["content-type"] = "text/plain"
        call["body"] = "Grüße aus Köln, 漢字 und mehr.\n" * 30
    elif shape == "binary":
        call["headers"]["content-type"] = "application/octet-stream"
        call["body"] = "QUJDREVGR0hJSktM" * 250
    else:
        call["body"] = entity(number, {"post": 60, "post 1K": 1000, "post 4K": 4000, "post 16K": 16000}[shape])
    return call


def document(shape: str, indent: bool) -> tuple[bytes, int]:
    one = len(json.dumps(request(1000, shape), ensure_ascii=False))
    count = max(1, TOTAL_BYTES // one)
    requests = [request(number, shape) for number in range(count)]
    separators = None if indent else (",", ":")
    return json.dumps({"requests": requests}, separators=separators, ensure_ascii=False).encode(), count


def read(data: bytes, count: int, chunk: int) -> float:
    """Seconds to read the document."""
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    reader = JsonReader(1 << 24, 64)
    found = 0
    begun = time.perf_counter()
    for piece in chunks:
        reader.feed_bytes(piece)
        while reader.next() is not None:
            found += 1
    reader.end()
    reader.next()
    elapsed = time.perf_counter() - begun
    if found != count or not reader.ended:
        raise SystemExit(f"{found} calls instead of {count}")
    return elapsed


def sample_call() -> Call:
    reader = JsonReader(1 << 24, 64)
    reader.feed_bytes(b'{"requests":[{"id":"1234","method":"get","url":"x"}]}')
    call = reader.next()
    assert call is not None
    return call


def write(result: Result, count: int, lowercase: bool) -> tuple[float, int]:
    """Seconds to write `count` response objects, and their bytes."""
    writer = JsonWriter()
    writer.lowercase = lowercase
    call = sample_call()
    write_bytes = writer.write_bytes
    written = 0
    begun = time.perf_counter()
    for _ in range(count):
        written += len(write_bytes(call, result))
    return time.perf_counter() - begun, written


def median(rounds: int, run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(rounds))


def report_reading(chunk: int, rounds: int) -> None:
    print(f"read, chunks of {chunk} bytes")
    for shape in ("get", "post", "post 1K", "post 4K", "post 16K", "text", "binary"):
        for indent in (False, True):
            data, count = document(shape, indent)
            seconds = median(rounds, partial(read, data, count, chunk))
            print(
                f"  {shape + (', spaced' if indent else ''):20} {len(data) // count:6} B/call"
                f" {len(data) / seconds / 1e6:8.0f} MB/s {seconds / count * 1e9:7.0f} ns/call"
            )


def report_writing(rounds: int) -> None:
    print("write")
    bodies = {
        "json": (b"application/json;odata.metadata=minimal", json.dumps(entity(1, 60)).encode()),
        "json 1K": (b"application/json", json.dumps(entity(1, 1000)).encode()),
        "json 4K": (b"application/json", json.dumps(entity(1, 4000)).encode()),
        "json 16K": (b"application/json", json.dumps(entity(1, 16000)).encode()),
        "text 1K": (b"text/plain", ("Grüße aus Köln, 漢字 und mehr.\n" * 30).encode()),
        "binary 4K": (b"application/octet-stream", bytes(range(256)) * 16),
    }
    for name, (media, body) in bodies.items():
        headers = [(key, media if key == b"content-type" else value) for key, value in ANSWER_HEADERS]
        result = Result()
        result.fill(200, headers, body)
        count = max(500, TOTAL_BYTES // (len(body) + 200))
        for lowercase in (True, False):
            runs = [write(result, count, lowercase) for _ in range(rounds)]
            seconds = statistics.median(run[0] for run in runs)
            print(
                f"  {name + (', strict' if lowercase else ', compatible'):24} {runs[0][1] // count:6} B/call"
                f" {runs[0][1] / seconds / 1e6:8.0f} MB/s {seconds / count * 1e9:7.0f} ns/call"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk", type=int, default=65536)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    report_reading(arguments.chunk, arguments.rounds)
    report_writing(arguments.rounds)


if __name__ == "__main__":
    main()
