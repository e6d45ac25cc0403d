"""Speed of the multipart dialect on one core: MB/s of documents read into Calls, and of answers written.

    python bench/multipart_speed.py [--chunk BYTES] [--rounds N]

Reading feeds chunks as a socket would and takes real Calls; writing turns one Result after another into a part.
Figures are medians over the rounds, MB = 10^6 bytes, and include what the Python loop around the core costs
(about 0.1 us a call). Must never print a figure of a run that gave the wrong number of calls.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

from batchwire.core.dialects.multipart.boundaries import new_boundary
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.model import Call, Result

TOTAL_BYTES = 8_000_000
BOUNDARY = b"batch_47c98a88-3d0d-4c3f-9d3f-9d4bd2f6b8f1"
INNER = b"changeset_b732f973-1d3c-4b0a-8f5e-0a4bd2f6b8f1"
BODIES = {
    "json 1K": (b"application/json", b'{"Name":"' + b"x" * 980 + b'","Paid":true}'),
    "lines 1K": (b"text/plain", b"Some line of a text of fair length\r\n" * 28),
    "short lines 1K": (b"text/plain", b"-a\n" * 333),
    "binary 1K": (b"application/octet-stream", bytes(range(256)) * 4),
}
"""Media type and body by shape: how many lines a body has decides what it costs to look for delimiters."""

ANSWER_HEADERS = [
    (b"date", b"Tue, 24 Nov 2026 10:00:00 GMT"),
    (b"server", b"nginx/1.24.0"),
    (b"content-length", b"100"),
    (b"connection", b"keep-alive"),
    (b"odata-version", b"4.01"),
    (b"etag", b'W/"08D1694BD49A0F11"'),
]


def _part(number: int, boundary: bytes, shape: str) -> bytes:
    media, body = BODIES[shape]
    return (
        b"--" + boundary + b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        b"Content-ID: %d\r\n\r\nPOST /svc/Customers HTTP/1.1\r\nContent-Type: "
        % number
        + media
        + b"\r\nAccept: application/json\r\nPrefer: return=minimal\r\n\r\n"
        + body
        + b"\r\n"
    )


def document(shape: str, change_sets: bool) -> tuple[bytes, int]:
    """A batch of about TOTAL_BYTES and its number of calls; change_sets: each call in one of its own."""
    count = TOTAL_BYTES // len(_part(1000, BOUNDARY, shape))
    pieces = []
    for number in range(count):
        if change_sets:
            pieces.append(b"--" + BOUNDARY + b"\r\nContent-Type: multipart/mixed; boundary=" + INNER + b"\r\n\r\n")
            pieces += [_part(number, INNER, shape), b"--" + INNER + b"--\r\n"]
        else:
            pieces.append(_part(number, BOUNDARY, shape))
    return b"".join(pieces) + b"--" + BOUNDARY + b"--\r\n", count


def read(data: bytes, count: int, chunk: int) -> float:
    """Seconds to read the document."""
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    reader = MultipartReader(BOUNDARY)
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
    reader = MultipartReader(BOUNDARY)
    reader.feed_bytes(_part(1234, BOUNDARY, "json 1K") + b"--" + BOUNDARY + b"--\r\n")
    call = reader.next()
    assert call is not None
    return call


def write(shape: str) -> tuple[float, int, int]:
    """Seconds to write about TOTAL_BYTES of parts, the number of parts, and their bytes."""
    media, body = BODIES[shape]
    result = Result()
    result.fill(200, [*ANSWER_HEADERS, (b"content-type", media)], body)
    write_bytes = MultipartWriter(new_boundary("odata")).write_bytes
    call = sample_call()
    count = TOTAL_BYTES // len(write_bytes(call, result))
    written = 0
    begun = time.perf_counter()
    for _ in range(count):
        written += len(write_bytes(call, result))
    return time.perf_counter() - begun, count, written


def median(rounds: int, run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk", type=int, default=65536)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"read, chunks of {arguments.chunk} bytes")
    for shape in BODIES:
        for change_sets in (False, True):
            data, count = document(shape, change_sets)
            seconds = median(arguments.rounds, partial(read, data, count, arguments.chunk))
            print(
                f"  {shape + (', change sets' if change_sets else ''):28} {len(data) // count:6} B/call"
                f" {len(data) / seconds / 1e6:8.0f} MB/s {seconds / count * 1e9:7.0f} ns/call"
            )
    print("write")
    for shape in BODIES:
        runs = [write(shape) for _ in range(arguments.rounds)]
        seconds = statistics.median(run[0] for run in runs)
        _, count, written = runs[0]
        print(
            f"  {shape:28} {written // count:6} B/call"
            f" {written / seconds / 1e6:8.0f} MB/s {seconds / count * 1e9:7.0f} ns/call"
        )


if __name__ == "__main__":
    main()
