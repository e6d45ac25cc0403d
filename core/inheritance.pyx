"""The header lines that a call inherits from its batch: what the call says itself wins.

Rules HD-02..HD-05, GW-08. Which outer headers are inherited is the front's decision; here they only are joined to
calls. The outer Authorization goes to upstreams that are configured for it and to no other. Must never
override a field of the call; of Prefer, each preference counts as a field, and one that the batch forbids is taken out.
"""
from batchwire.core.headers cimport block_get, block_has
from batchwire.core.model cimport Call
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_GET_SIZE

import re

_PREFERENCE = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.)*+"?+)++')
_ASYNC = re.compile(rb"[ \t]*(?:odata\.)?respond-async[ \t]*(?:[;=]|\Z)", re.IGNORECASE)

cdef bytes FIRST_HOP = b"Batchwire-Hop: 1\r\n"

cdef enum:
    LARGE = 1024              # bytes of inherited lines
    FEW = 8                   # inherited lines: each is looked for in the call's own; of more, these are read once


cdef class Inheritance:
    """headers: [(lower-case name, value)] as bytes, or None. authorization: bytes or None. hop: number sent upstream.

    at_once: no call may be answered by an interim 202 (AS-09).
    """

    def __init__(self, list headers, bytes authorization, int hop, bint at_once=False):
        self.lines = []
        self.at_once = at_once
        self.always = FIRST_HOP if hop == 1 else b"Batchwire-Hop: %d\r\n" % hop
        self.with_authorization = self.always
        if authorization is not None:
            self.with_authorization += b"Authorization: " + authorization + b"\r\n"
        if headers is not None:
            for name, value in headers:
                self.add(name, value)
        self.freeze()

    cdef int add(self, bytes name, bytes value) except -1:
        self.lines.append((name.lower(), name + b": " + value + b"\r\n"))
        return 0

    cdef int freeze(self) except -1:
        self.said = None
        if not self.lines:
            self.all_lines = self.always
            self.all_with_authorization = self.with_authorization
            return 0
        lines = b"".join([line for _, line in self.lines])
        self.all_lines = lines + self.always
        self.all_with_authorization = lines + self.with_authorization
        return 0

    cdef bytes lines_for(self, Call call, Upstream upstream):
        cdef bytes tail = self.with_authorization if upstream.forward_authorization else self.always
        if (self.at_once or call.group is not None or call.dependents is not None) and block_has(call.head, b"prefer", 6):
            call.head = without_respond_async(call.head)
        if not self.lines:
            return tail
        if len(call.head) == 0:
            return self.all_with_authorization if upstream.forward_authorization else self.all_lines
        # Calls of a batch often say the same; then they also share what is made here.
        if call.head != self.said or tail is not self.tail:
            self.join(call, tail)
        call.head = self.head
        return self.joined

    cdef int join(self, Call call, bytes tail) except -1:
        """Sets `joined`, and `head`: the call's own lines, with the inherited preferences."""
        self.said = None
        cdef bytes name, line
        cdef list kept = []
        cdef set own = names_in(call.head) if len(self.lines) > FEW else None
        self.head = call.head
        for name, line in self.lines:
            if not (block_has(call.head, name, len(name)) if own is None else name in own):
                kept.append(line)
            elif name == b"prefer":
                self.head = with_preferences(self.head, line)
        if len(kept) == len(self.lines):
            self.joined = self.all_lines if tail is self.always else self.all_with_authorization
        else:
            kept.append(tail)
            self.joined = b"".join(kept)
        self.said = call.head
        self.tail = tail
        return 0

    cdef bint is_large(self) noexcept:
        """Whether a call holds much more when it has what it inherits."""
        return PyBytes_GET_SIZE(self.all_lines) > LARGE

    cdef bint is_long(self) noexcept:
        """Whether it is no trifle what a call inherits."""
        return len(self.lines) > FEW


cdef set names_in(bytes head):
    """The names of header lines, in lower case."""
    return {line.partition(b":")[0].lower() for line in head.split(b"\r\n")}


cdef bytes with_preferences(bytes head, bytes line):
    """HD-05: the call's header lines, its Prefer extended by the inherited preferences that it does not name."""
    cdef bytes own = block_get(head, b"prefer", 6)
    cdef set named = {preference_in(part) for part in _PREFERENCE.findall(own)}
    wanted = [
        part.strip() for part in _PREFERENCE.findall(line.partition(b": ")[2].rstrip()) if preference_in(part) not in named
    ]
    if not wanted:
        return head
    lines = head.split(b"\r\n")
    at = next(i for i, field in enumerate(lines) if field[:7].lower() == b"prefer:")
    lines[at] = b", ".join([lines[at], *wanted])
    return b"\r\n".join(lines)


cdef bytes preference_in(bytes part):
    """The name of a preference (RFC 7240): in lower case, without "odata."."""
    return part.partition(b";")[0].partition(b"=")[0].strip(b" \t").lower().removeprefix(b"odata.")


cdef bytes without_respond_async(bytes head):
    """AS-07, AS-09, AS-10: the header lines of a call whose answer must be final, without that preference."""
    cdef list lines = []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"prefer":
            said = _PREFERENCE.findall(value)
            kept = [part.strip() for part in said if _ASYNC.match(part) is None]
            if not kept:
                continue
            if len(kept) < len(said):
                line = name + b": " + b", ".join(kept)
        lines.append(line)
    return b"\r\n".join(lines)
