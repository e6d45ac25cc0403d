"""One HTTP library straight to the upstream, no gateway: calls one after another, or a number at once.

Prints one JSON line. Must never share a process with another measurement.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from ..processes import cpu_seconds

Get = Callable[[], Awaitable[bytes]]


async def _aiohttp(stack: AsyncExitStack, url: str, at_once: int) -> Get:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=at_once)
    jar = aiohttp.DummyCookieJar()
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, cookie_jar=jar))

    async def get() -> bytes:
        async with session.get(url, raise_for_status=True) as answer:
            return await answer.read()

    return get


async def _httpx(stack: AsyncExitStack, url: str, at_once: int) -> Get:
    import httpx

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, trust_env=False))

    async def get() -> bytes:
        answer = await client.get(url)
        return answer.raise_for_status().content

    return get


async def _repeat(get: Get, seconds: float) -> int:
    calls, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        await get()
        calls += 1
    return calls


async def _measure(options: argparse.Namespace) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        library = _aiohttp if options.library == "aiohttp" else _httpx
        get = await library(stack, options.url, options.at_once)
        await asyncio.gather(*(_repeat(get, options.seconds / 3) for _ in range(options.at_once)))
        upstream, cpu, start = cpu_seconds(options.upstream_pid), time.process_time(), time.perf_counter()
        calls = sum(await asyncio.gather(*(_repeat(get, options.seconds) for _ in range(options.at_once))))
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        upstream = cpu_seconds(options.upstream_pid) - upstream
    return {
        "calls_per_second": calls / took,
        "cpu_us": cpu / calls * 1e6,
        "upstream_us": upstream / calls * 1e6,
    }


def main() -> None:
    """Options: library (aiohttp or httpx), URL, calls at once, seconds of the window, pid of nginx."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", choices=["aiohttp", "httpx"], required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--upstream-pid", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    print(json.dumps(uvloop.run(_measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
