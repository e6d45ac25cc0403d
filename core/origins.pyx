"""Under which origins clients know a service root, and whether a URL or a Host names one of them (GW-05, MB-11).

Ports that stand for a scheme are as good as none (CL-08). Where TLS ends before the gateway, it cannot tell the scheme
that its clients use: so the compatible profile compares hosts and ports only. Nothing is ever connected to by what
is found here.
"""

cdef dict PORTS = {b"http": b"80", b"https": b"443"}


cdef tuple parted(bytes authority):
    """Host in lower case, and port or b""."""
    host, colon, port = authority.lower().rpartition(b":")
    if colon and port.isdigit() and (not host.startswith(b"[") or host.endswith(b"]")):
        return host, port.lstrip(b"0") or b"0"
    return authority.lower().removesuffix(b":"), b""


cpdef bint same_origin(bytes one, bytes other):
    """Whether two texts `scheme://host[:port]` are the same origin."""
    cdef list seen = []
    if one == other:
        return True
    for origin in (one, other):
        scheme, _, authority = origin.partition(b"://")
        host, port = parted(authority)
        scheme = scheme.lower()
        seen.append((scheme, host, port or PORTS.get(scheme)))
    return seen[0] == seen[1]


cdef class Origins:
    """said: (scheme, host[:port]), or several of them, the first of which is told to clients; or None."""

    def __init__(self, said, bint strict=False):
        self.said = [said] if isinstance(said, tuple) else list(said or ())
        self.strict = strict
        if self.said:
            scheme, host = self.said[0]
            host, port = parted(host.encode())
            scheme = scheme.encode()
            if port and port != PORTS.get(scheme):
                host += b":" + port
            self.public = scheme + b"://" + host

    cdef int sort_out(self) except -1:
        self.sorted_out = True
        self.whole = set()
        self.hosts = set()
        self.usual = set()
        self.others = set()
        for scheme, host in self.said:
            scheme = scheme.encode()
            host, port = parted(host.encode())
            usual = PORTS.get(scheme, b"")
            self.whole.add(scheme + b"://" + host + b":" + (port or usual))
            self.hosts.add(host + b":" + (port or usual))
            if port in (b"", usual):
                self.usual.add(host)
            elif not self.strict:
                self.others.add(host + b":" + port)
        return 0

    cdef bint holds(self, bytes origin) except -1:
        """Whether `scheme://host[:port]` is one of them."""
        if origin == self.last:
            return True
        if not self.sorted_out:
            self.sort_out()
        scheme, _, authority = origin.partition(b"://")
        scheme = scheme.lower()
        if scheme not in PORTS:
            return False
        host, port = parted(authority)
        place = host + b":" + (port or PORTS[scheme])
        if scheme + b"://" + place not in self.whole and (self.strict or not (
                host in self.usual and port in (b"", PORTS[scheme]) or place in self.others)):
            return False
        self.last = origin
        return True

    cdef bint is_host(self, bytes host) except -1:
        """Whether host[:port] is that of one of them."""
        if not self.sorted_out:
            self.sort_out()
        name, port = parted(host)
        return name + b":" + port in self.hosts if port else name in self.usual

    def has(self, bytes origin not None):
        """holds() for tests."""
        return self.holds(origin)
