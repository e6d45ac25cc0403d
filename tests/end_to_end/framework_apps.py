"""Apps for the tests of `serve_app` that real frameworks make, and one that never rests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

seen: list[str] = []


async def streamed(request: Request) -> Response:
    """Three pieces; with ?kind=sse as server-sent events."""
    sse = request.query_params.get("kind") == "sse"

    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n" if sse else f"{number}\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(pieces(), media_type="text/event-stream" if sse else "text/plain")


async def without_end(_: Request) -> Response:
    """Until its client is gone."""

    async def pieces() -> AsyncIterator[str]:
        try:
            while True:
                yield "more\n"
                await asyncio.sleep(0.01)
        finally:
            seen.append("stream ended")

    return StreamingResponse(pieces(), media_type="text/plain")


async def file(_: Request) -> Response:
    return FileResponse(__file__)


async def looks(request: Request) -> Response:
    """Whether its client is gone, asked several times."""
    await request.body()
    told = [await request.is_disconnected() for _ in range(5)]
    return JSONResponse(told)


async def looks_until(request: Request) -> Response:
    """Until its client is gone; each time by a request of its own, which remembers nothing."""
    while not await Request(request.scope, request.receive).is_disconnected():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    told = [await Request(request.scope, request.receive).is_disconnected() for _ in range(5)]
    seen.append(f"gone: {told}")
    return Response()


async def behind(_: Request) -> Response:
    async def task() -> None:
        await asyncio.sleep(0.01)
        seen.append("background")

    return PlainTextResponse("answered", background=BackgroundTask(task))


async def told(_: Request) -> Response:
    return JSONResponse(seen)


class Marks(BaseHTTPMiddleware):
    """As most applications have one."""

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await call_next(request)
        answer.headers["x-marked"] = "1"
        return answer


ROUTES = [
    Route("/streamed", streamed, methods=["GET", "POST"]),
    Route("/without-end", without_end),
    Route("/file", file),
    Route("/looks", looks, methods=["GET", "POST"]),
    Route("/looks-until", looks_until),
    Route("/behind", behind),
    Route("/told", told),
]
plain = Starlette(routes=ROUTES)
marked = Starlette(routes=ROUTES, middleware=[Middleware(Marks)])
fast = FastAPI(routes=ROUTES)


@fast.get("/linked")
async def linked(request: Request) -> dict[str, str]:
    """Where it is, as it would say it in a link."""
    return {"url": str(request.url_for("linked")), "path": request.url.path}


async def restless(scope: Any, receive: Any, send: Any) -> None:
    """Never waits for anything but its channels, which it never leaves alone."""
    if scope["type"] != "http":
        return
    start = {"type": "http.response.start", "status": 200, "headers": []}
    how = scope["path"].rpartition("/")[2]
    if how == "calm":
        await send(start)
        await send({"type": "http.response.body", "body": b"{}"})
    elif how == "receives":
        await send(start)
        await send({"type": "http.response.body", "body": b"done"})
        while True:
            await receive()
    elif how == "sends":
        await send(start)
        while True:
            await send({"type": "http.response.body", "body": b"", "more_body": True})
    elif how == "ignores":
        while True:
            try:
                await send({"type": "no such message"})
            except Exception:
                continue
