"""What systemd gives a service and is told by it: sd_listen_fds(3) and sd_notify(3).

Without systemd nothing is told and no socket is found. Must never be asked by a worker that has a parent of its own.
"""

import contextlib
import os
import socket

PREFIX = "systemd:"
"""Of the address of a listener whose socket systemd has opened; the rest is its FileDescriptorName."""
FIRST = 3
"""The descriptor of the first of them."""
READY, STOPPING = "READY=1", "STOPPING=1"


def notify(*words: str) -> None:
    """Tells systemd; it is none of the gateway's business whether that hears."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto("\n".join(words).encode(), address)


def ending(seconds: float) -> tuple[str, str]:
    """The words of a service that begins to end, and takes so long at most, whatever TimeoutStopSec says."""
    return STOPPING, f"EXTEND_TIMEOUT_USEC={int((seconds + 1) * 1_000_000)}"


def passed_socket(address: str) -> socket.socket:
    """A copy of the socket that systemd has opened for a "systemd:NAME". Raises OSError: there is none."""
    name = address.removeprefix(PREFIX)
    passed = passed_names()
    if name not in passed:
        known = ", ".join(sorted(set(passed))) or "none"
        raise OSError(f"{address} cannot be listened on: systemd has passed no socket of this name (passed: {known})")
    descriptor = FIRST + passed.index(name)
    os.set_inheritable(descriptor, False)  # programs that an app starts have no business with it
    sock = socket.socket(fileno=os.dup(descriptor))
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise OSError(f"{address} cannot be listened on: it is no socket that listens for streams (ListenStream=)")
    sock.setblocking(False)
    return sock


def passed_names() -> list[str]:
    """Of the sockets that systemd has opened for this process, in the order of their descriptors."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") if os.environ.get("LISTEN_FDNAMES") else []
    return [*names, *["unknown"] * int(count)][: int(count)]
