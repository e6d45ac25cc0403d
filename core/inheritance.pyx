"""The header lines that a call inherits from its batch: what the call says itself wins.

Rules HD-02..HD-05, GW-08. Which outer headers are inherited is the front's decision; here they only are joined to
calls. The outer Authorization goes to upstreams that are configured for it and to no other. Must never
override a field of the call; of Prefer, each preference counts as a field, and one that the batch forbids is taken out.
"""
from batchwire.core.headers cimport block_has
from batchwire.core.model cimport Call
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

import re

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

_PREFERENCE = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.)*+"?+)++')
_ASYNC = re.compile(rb"[ \t]*(?:odata\.)?respond-async[ \t]*(?:[;=]|\Z)", re.IGNORECASE)

cdef bytes FIRST_HOP = b"Batchwire-Hop: 1\r\n"

cdef enum:
    LARGE = 1024              # bytes of inherited lines, or of a call's own
    FEW = 8                   # inherited lines: each is looked for in the call's own; of more, these are read once


cdef class Inheritance:
    """headers: [(lower-case name, value)] as bytes, or None. authorization: bytes or None. hop: number sent upstream.

    at_once: no call may be answered by an interim 202, as in multipart of any dialect (AS-09).
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

    cdef int drop(self, set names) except -1:
        """Fields of these names, in lower case, that were added before."""
        self.lines = [line for line in self.lines if line[0] not in names]
        return 0

    cdef int freeze(self) except -1:
        self.said = None
        self.preferences = None
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
                self.head = self.with_preferences(call.head)
        if len(kept) == len(self.lines):
            self.joined = self.all_lines if tail is self.always else self.all_with_authorization
        else:
            kept.append(tail)
            self.joined = b"".join(kept)
        self.said = call.head
        self.tail = tail
        return 0

    cdef bytes with_preferences(self, bytes head):
        """HD-05: the call's header lines, its Prefer extended by the inherited preferences that it does not name."""
        cdef const char* start = PyBytes_AS_STRING(head)
        cdef const char* end = start + PyBytes_GET_SIZE(head)
        cdef const char* at = start
        cdef const char* stop = NULL
        cdef set named
        cdef bytes more
        while not begins_prefer(at, end):
            at = <const char*>memchr(at, c'\n', end - at) + 1
        stop = <const char*>memchr(at, c'\r', end - at)
        named = {preference_in(part) for part in _PREFERENCE.findall(PyBytes_FromStringAndSize(at + 7, stop - at - 7))}
        if self.preferences is None:
            self.read_preferences()
        if named.isdisjoint(self.preferences):
            more = self.all_preferences
        else:
            more = b"".join([text for name, text in self.preferences.items() if name not in named])
        return head[:stop - start] + more + head[stop - start:] if more else head

    cdef int read_preferences(self) except -1:
        """Once for all calls, however long they are (PL-01)."""
        self.preferences = {}
        for name, line in self.lines:
            if name == b"prefer":
                for part in _PREFERENCE.findall(line.partition(b":")[2].rstrip()):
                    # The first instance of a preference counts (HD-15).
                    self.preferences.setdefault(preference_in(part), b", " + part.strip())
        self.all_preferences = b"".join(self.preferences.values())
        return 0

    cdef bint is_large(self) noexcept:
        """Whether a call holds much more when it has what it inherits."""
        return PyBytes_GET_SIZE(self.all_lines) > LARGE

    cdef bint is_shared(self, bytes lines) noexcept:
        """Whether these are the lines of all calls, and no call's own."""
        return lines is self.all_lines or lines is self.all_with_authorization or lines is self.always \
            or lines is self.with_authorization

    cdef bint is_dear(self, Call call) noexcept:
        """Whether it is no trifle to give a call what it inherits."""
        return len(self.lines) > FEW or self.is_large() or PyBytes_GET_SIZE(call.head) > LARGE


cdef bint begins_prefer(const char* p, const char* end) noexcept:
    """Whether a header line is a Prefer."""
    return end - p > 7 and strncasecmp(p, b"prefer:", 7) == 0


cdef set names_in(bytes head):
    """The names of header lines, in lower case."""
    return {line.partition(b":")[0].lower() for line in head.split(b"\r\n")}


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
