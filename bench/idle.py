"""Memory of gRPC connections on which nothing happens: opened raw, settings exchanged, and left.

Must never report a connection that the gateway has closed meanwhile.
"""

import resource
import time

from .h2_wire import Connection
from .processes import resident_bytes
from .servers import Gateway

WARM_UP = 100
"""Connections opened first and kept, so that what is made once is not counted."""

_SPARE_FILES = 200
_SETTLE_SECONDS = 1.0


def allow_files(connections: int) -> None:
    """Raises the limit of open files for this process and those it starts, or raises RuntimeError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + WARM_UP + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RuntimeError(f"{connections} connections need {needed} open files; the limit is {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def bytes_a_connection(gateway: Gateway, connections: int) -> float:
    """Growth of the gateway's resident memory, a connection."""
    held: list[Connection] = []
    try:
        held += [Connection(gateway.addresses["grpc"]) for _ in range(WARM_UP)]
        time.sleep(_SETTLE_SECONDS)
        before = resident_bytes(gateway.pid)
        held += [Connection(gateway.addresses["grpc"]) for _ in range(connections)]
        time.sleep(_SETTLE_SECONDS)
        grown = resident_bytes(gateway.pid) - before
        for connection in held:
            connection.ping()
    finally:
        for connection in held:
            connection.close()
    return grown / connections
