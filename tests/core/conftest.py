"""Every test of the core runs on uvloop; those that ask for it are seen to leave nothing open."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping

import psutil
import pytest_asyncio
import uvloop
from batchwire.core import stats
from batchwire.core.plan import references
from batchwire.core.session import crowd, fills


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


def open_sockets() -> set[tuple[int, str]]:
    """Sockets of this process that lead somewhere; not the socket pairs of the loop itself."""
    me = psutil.Process()
    found = {(c.fd, f"{c.laddr} {c.raddr}") for c in me.net_connections("inet")}
    return found | {(c.fd, c.laddr) for c in me.net_connections("unix") if c.laddr}


@pytest_asyncio.fixture
async def nothing_left() -> AsyncIterator[None]:
    """After the test all its sessions are closed, and no socket is open that was not before."""
    gc.collect()  # what a test before has left to the collector would count
    sessions = stats()["sessions"]
    before = open_sockets()
    yield
    gc.collect()
    assert stats()["sessions"] == sessions
    assert references.stats() == {"references_kept": 0}
    assert crowd.stats() == {"request_held": 0, "request_waiting": 0}
    assert fills.stats() == {"filled_held": 0, "filled_waiting": 0}
    for _ in range(100):
        left = open_sockets() - before
        if not left:
            break
        # Connections close in the next turns of the loop.
        await asyncio.sleep(0.005)
    assert not left
