"""Addresses of host names: at most one lookup of a name at a time, for all who wait for it.

The system's getaddrinfo() blocks, and takes as long as a name server is silent. Each lookup has a thread of its own, so
that no name waits for another; the thread ends with the lookup, because a second one makes every system call dearer.
Nobody can stop it: who waits for it leaves when its time is over, and the process ends without it. Must never raise
what a lookup meets: that is part of its outcome.
"""

import _thread
import contextlib
import math
import socket
import time

FOUND_SECONDS = 5.0  # in which addresses are used again
ASK_SECONDS = 0.5  # from one answer to the next lookup, whatever came of the first


class Found:
    """What a lookup came to. addresses: as text, of IPv4 and IPv6, in the system's order; none: reason says why.

    since: when it came, by the clock of Names.
    """

    def __init__(self, addresses, reason, since):
        self.addresses = addresses
        self.reason = reason
        self.since = since

    def in_turn(self, turn):
        """The addresses, those of the family that the system prefers first and of these another one first each turn."""
        preferred = [one for one in self.addresses if (":" in one) == (":" in self.addresses[0])]
        others = [one for one in self.addresses if one not in preferred]
        shift = turn % max(len(preferred), 1)
        return preferred[shift:] + preferred[:shift] + others


class _Name:
    def __init__(self, host, found):
        self.host = host
        self.found = found
        self.until = -math.inf if found is None else math.inf
        self.waiters = set()
        self.asked = False


class Names:
    """The names of one loop's upstreams. clock: seconds, monotonic.

    It keeps what it found of each name that it was ever asked for: those of the configuration.
    """

    def __init__(self, loop, clock=time.monotonic):
        self._loop = loop
        self._clock = clock
        self._names = {}

    async def find(self, host):
        """Found, at once or when the lookup that runs has ended. Cancelled, it leaves the others waiting."""
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name(host, _literal(host))
        if self._clock() < name.until:
            return name.found
        waiter = self._loop.create_future()
        name.waiters.add(waiter)
        try:
            if not name.asked:
                self._ask(name)
            return await waiter
        finally:
            name.waiters.discard(waiter)

    def drop(self, host, found):
        """None of these addresses could be reached: the name is looked up anew, but not more often than it may be."""
        name = self._names[host]
        if name.found is found:
            name.until = min(name.until, found.since + ASK_SECONDS)

    def _ask(self, name):
        name.asked = True
        try:
            _thread.start_new_thread(self._look_up, (name,))
        except RuntimeError as error:  # no more threads
            self._tell(name, (), str(error))

    def _look_up(self, name):
        """The thread."""
        addresses, reason = (), "no address"
        try:
            addresses = _addresses(socket.getaddrinfo(name.host, None, type=socket.SOCK_STREAM))
        except Exception as error:
            # OSError for the most part; a name can also be one that cannot be written in a query.
            reason = getattr(error, "strerror", None) or type(error).__name__
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell, name, addresses, reason)

    def _tell(self, name, addresses, reason):
        name.asked = False
        now = self._clock()
        name.found = Found(addresses, reason, now)
        name.until = now + (FOUND_SECONDS if addresses else ASK_SECONDS)
        for waiter in name.waiters:
            if not waiter.done():
                waiter.set_result(name.found)


def _literal(host):
    """Found at once for what is an address, not a name; else None."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    return Found(_addresses(found), "", -math.inf)


def _addresses(found):
    """As text, each once; a link-local one with its interface."""
    texts = []
    for family, _, _, _, address in found:
        text = address[0]
        if family == socket.AF_INET6 and address[3] and "%" not in text:
            text += "%" + socket.if_indextoname(address[3])
        texts.append(text)
    return tuple(dict.fromkeys(texts))
