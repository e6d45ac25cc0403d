"""An ASGI app that says much on standard error, in the way that its path names."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from typing import Any

import structlog

LINE = "x" * 1000


def say(how: str, number: int) -> None:
    if how == "print":
        print(LINE, number, file=sys.stderr)
    elif how == "logging":
        logging.getLogger("noisy").error("%s %d", LINE, number)
    elif how == "warnings":
        warnings.warn(f"{LINE} {number}", stacklevel=1)
    elif how == "structlog":
        structlog.get_logger().error(LINE, number=number)
    elif how == "loop":
        asyncio.get_running_loop().call_exception_handler({"message": f"{LINE} {number}"})


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    how, _, times = scope["path"].strip("/").partition("/")
    for number in range(int(times)):
        say(how, number)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
