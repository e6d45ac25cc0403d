"""The gateway that is attacked: its configuration, and the times that tests of it go by.

Must never hold an address.
"""

from __future__ import annotations

import resource

from . import config
from .gateway import Gateway

IDLE_SECONDS = 2.0
"""For the first bytes, a header section, a message, and for a client that neither sends nor takes."""
FILES = 10_000
"""What gateway and test may have open, each."""


def attackable(things: str) -> config.Config:
    """/svc/ leads to the origin `things`. What is idle goes soon, so that file descriptors can be counted."""
    upstreams = {"things": {"url": things + "/", "idle_seconds": 0.1}}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    # One connection may open 1000 streams; another client's batches must not be refused for their number.
    return config.make(upstreams, routes, {"client_idle_seconds": IDLE_SECONDS, "max_batches": 5000})


def room_for_files() -> None:
    """Raises the limit of open files of this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        assert hard == resource.RLIM_INFINITY or hard >= FILES, f"the system allows {hard} open files only"
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def nothing_is_left(gateway: Gateway, descriptors: int) -> None:
    """No batch, no file descriptor more than before, and nothing in the log that is no line of it."""
    gateway.wait_idle()
    gateway.wait(lambda: gateway.fds() <= descriptors, f"no more than {descriptors} file descriptors")
    strange = [entry for entry in gateway.logs() if "raw" in entry or entry.get("level") in ("error", "critical")]
    assert not strange, strange[:5]
