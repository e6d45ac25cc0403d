"""Measures the bare client and prints one JSON line. It must never share its process."""

import argparse
import asyncio
import json
import time
from typing import Any

import uvloop

from ..processes import cpu_seconds
from .build import load


async def _measure(options: argparse.Namespace) -> dict[str, Any]:
    client = load().Client("127.0.0.1", options.port)
    await client.connect("127.0.0.1", options.port, options.connections)
    loop = asyncio.get_running_loop()
    end = loop.time() + options.seconds / 3
    while loop.time() < end:
        await client.batch(options.calls)
    batches, start = 0, loop.time()
    upstream, cpu = cpu_seconds(options.upstream_pid), time.process_time()
    while loop.time() < start + options.seconds:
        await client.batch(options.calls)
        batches += 1
    took, cpu = loop.time() - start, time.process_time() - cpu
    upstream = cpu_seconds(options.upstream_pid) - upstream
    calls = batches * options.calls
    client.close()
    return {
        "calls_per_second": calls / took,
        "cpu_us": cpu / calls * 1e6,
        "upstream_us": upstream / calls * 1e6,
    }


def main() -> None:
    """Options: port and pid of nginx, connections, calls of a batch, seconds of the window."""
    parser = argparse.ArgumentParser()
    for name in ("port", "upstream-pid", "connections", "calls"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    print(json.dumps(uvloop.run(_measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
