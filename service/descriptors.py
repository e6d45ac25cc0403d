"""File descriptors of the process: the first three, and how many there may be."""

import contextlib
import os
import resource

import structlog

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
