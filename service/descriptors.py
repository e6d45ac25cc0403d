"""File descriptors of the process: the first three, how many there may be, and whether any is left."""

import asyncio
import contextlib
import os
import resource

import structlog
from batchwire.core.scarce_log import ScarceLog

from .config import Config

SPARE = 64
"""For logs, listeners, certificates, the loop, and what an app opens."""
_log = structlog.get_logger("batchwire")


def occupy_standard() -> None:
    """Opens what is closed of 0, 1 and 2 on the null device: nothing else may come to lie where others write words."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def allow_many(config: Config) -> None:
    """Raises the soft limit to the hard one, and says so where that is not enough for the configured bounds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    upstreams = sum(upstream.max_connections for upstream in config.upstreams.values())
    wanted = config.limits.max_batches + upstreams + SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        _log.warning("few file descriptors", limit=soft, wanted=wanted)


class DescriptorWatch:
    """Whether a descriptor is left. Where none is, libuv closes each new connection and tells nobody (OP-22)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.exhausted = 0
        """Looks that found none, so far."""
        self._line = ScarceLog("no file descriptors left", loop)

    def check(self) -> None:
        """Called once a second."""
        try:
            os.close(os.dup(2))
        except OSError:
            self.exhausted += 1
            self._line.add(limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
