"""Listening sockets for addresses as the configuration writes them: "host:port", "[v6]:port", "unix:/path",
"systemd:NAME".

They are bound here so that several worker processes can share a port. Must never accept anything.
"""

import contextlib
import os
import socket
import stat

from ...systemd import PREFIX, passed_socket

BACKLOG = 2048
UNIX = "unix:"
_SHARED = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port". Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def listening_socket(address: str, *, shared: bool) -> socket.socket:
    """A bound, non-blocking stream socket.

    shared: other processes bind the same port (SO_REUSEPORT). Raises OSError, ValueError. No TCP_USER_TIMEOUT: it also
    ends a client that takes less at a time than the kernel's next segment; connections are swept for those that take
    nothing.
    """
    if address.startswith(UNIX):
        return _unix_socket(address.removeprefix(UNIX))
    if address.startswith(PREFIX):
        return passed_socket(address)
    options = [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]
    if shared:
        options.append(_SHARED)
    return _bound(address, options)


def reserved_socket(address: str) -> socket.socket | None:
    """Keeps a TCP port for sockets of this user that share it, as `shared` ones do; itself it never listens.

    Those would share it with listeners of another program, too, which is then not noticed by either. None: the port is
    free, and cannot be kept. Raises OSError when somebody has it, ValueError.
    """
    listening_socket(address, shared=False).close()
    try:
        return _bound(address, [_SHARED])
    except OSError:
        # Connections that have just ended hold it, but not for sockets with SO_REUSEADDR. That option here would let
        # others have the port, too.
        return None


def _bound(address: str, options: list[tuple[int, int, int]]) -> socket.socket:
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise unusable(address, error) from None
    family, _, _, _, target = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.bind(target)
        sock.setblocking(False)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise unusable(address, error) from None
        raise
    return sock


def identity(address: str) -> tuple[int, int] | None:
    """Which file the socket of a UNIX address is; None: there is none."""
    with contextlib.suppress(OSError):
        found = os.lstat(address.removeprefix(UNIX)) if address.startswith(UNIX) else None
        return (found.st_dev, found.st_ino) if found is not None and stat.S_ISSOCK(found.st_mode) else None
    return None


def remove_socket(address: str, ours: tuple[int, int] | None) -> None:
    """Removes the file of a UNIX address, unless it is another by now than `ours`, which identity() gave."""
    if ours is not None and identity(address) == ours:
        with contextlib.suppress(OSError):
            os.unlink(address.removeprefix(UNIX))


def unusable(address: str, error: OSError) -> OSError:
    """The same in words for a person, with the address."""
    return OSError(f"{address} cannot be listened on: {(error.strerror or str(error)).lower()}")


def bound_address(sock: socket.socket) -> str:
    """The address that the socket really has, in the configuration's form."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unix_socket(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(path)
        sock.setblocking(False)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise unusable(UNIX + path, error) from None
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Removes a socket file that nobody listens on; anything else is left, and bind() says so."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
