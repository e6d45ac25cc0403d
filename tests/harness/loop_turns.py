"""Turns of the event loop: how much others could do meanwhile, without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def turns_of(work: Awaitable[T]) -> tuple[T, int]:
    """What comes of it, and how many turns of the loop others had meanwhile."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    try:
        return await work, turns
    finally:
        task.cancel()
