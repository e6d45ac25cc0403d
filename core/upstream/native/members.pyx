"""What both forms say of a member: its URL below the service root, its header fields, its body.

References between members (`$<id>` as first segment, in If-Match and in links of a body) are renamed to the ids
that the members have in the upstream's batch: the upstream resolves them, inside its transaction. Must never
let an Authorization of the batch into a member (MB-17): it is lifted to the request that carries them all.
"""
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.json_walk cimport skip_space, string_end
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

import json
import re

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    PIECE = 65536             # bytes of a body that are gone through in one step
    CANDIDATE = 256           # bytes of a body that take as long as a string that may be a link, or the name of one

cdef frozenset METHODS = frozenset([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"MERGE"])      # JB-07, CL-03

_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)(?=[/?]|$)")
_ETAG_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)$")


cdef dict ordinals_of(list members):
    cdef dict inner = {}
    cdef Call call
    for i, call in enumerate(members, 1):
        if call.id:
            inner[call.id] = b"%d" % i
    return inner


cdef bytes referred_to(Call call):
    """The id in a target that is a reference, or None."""
    found = _REFERENCE.match(call.target)
    return None if found is None else found.group(1)


cdef bint fits_in(Call call, bytes base_path, dict inner) except -1:
    """Whether a call can be a member of a batch at all."""
    if call.method not in METHODS:
        return False
    if call.body_owner is not None and call.body_len and call.method in (b"GET", b"DELETE"):
        return False                                      # JB-26
    return call.target.startswith(base_path) or referred_to(call) in inner


cdef bytes relative_url(Call call, bytes base_path, dict inner):
    """MB-19: a colon in the path of a relative URL could be taken for the end of a scheme."""
    cdef bytes url
    cdef bytes path, mark, query
    if call.target.startswith(base_path):
        url = call.target[len(base_path):]
    else:
        url = _REFERENCE.sub(lambda found: b"$" + inner[found.group(1)], call.target, count=1)
    path, mark, query = url.partition(b"?")
    return path.replace(b":", b"%3A") + mark + query


cdef list lines_of(Call call):
    return (call.head if call.extra is None else call.head + call.extra).split(b"\r\n")


cdef bytes etag_referred_to(bytes name, bytes value):
    """The id in a header field that takes the ETag of another member, or None."""
    if not value.startswith(b"$") or name.lower() not in (b"if-match", b"if-none-match"):
        return None
    found = _ETAG_REFERENCE.match(value)                  # ID-10: unquoted
    return None if found is None else found.group(1)


cdef list fields_of(Call call, dict inner):
    cdef list fields = []
    cdef bytes line, name, value
    for line in lines_of(call):
        name, _, value = line.partition(b":")
        if not name or is_lifted(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)):
            continue
        value = value.strip(b" \t")
        if inner:
            referred = etag_referred_to(name, value)
            if referred in inner:
                value = b"$" + inner[referred]
        fields.append((name, value))
    return fields


cdef bint is_lifted(const char* name, Py_ssize_t n) noexcept nogil:
    return (n == 13 and (strncasecmp(name, b"authorization", 13) == 0 or strncasecmp(name, b"batchwire-hop", 13) == 0)) \
        or (n == 19 and strncasecmp(name, b"proxy-authorization", 19) == 0)


cdef bytes lifted_lines(Call call):
    return lifted_in(call.head) if call.extra is None else lifted_in(call.head) + lifted_in(call.extra)


cdef bytes lifted_in(bytes block):
    cdef const char* p = block
    cdef const char* end = p + PyBytes_GET_SIZE(block)
    cdef const char* stop
    cdef const char* colon
    cdef bytes found = b""
    while p < end:
        stop = <const char*>memchr(p, c'\n', end - p)
        stop = end if stop == NULL else stop + 1
        if p[0] in (c'A', c'a', c'B', c'b', c'P', c'p'):
            colon = <const char*>memchr(p, c':', stop - p)
            if colon != NULL and is_lifted(p, colon - p):
                found += p[:stop - p]
        p = stop
    return found


cdef dict depends_within(Call call, dict inner):
    """The members that this one waits for by dependsOn, URL and ETag: JB-11, and JP-03 for what may run in any order."""
    cdef dict found = {}
    cdef bytes name, line, value
    for name in call.depends_on or ():
        wait_for(found, inner.get(name))
    if not call.target.startswith(b"/"):
        wait_for(found, inner.get(referred_to(call)))
    if b"$" in call.head or call.extra is not None and b"$" in call.extra:
        for line in lines_of(call):
            name, _, value = line.partition(b":")
            name = etag_referred_to(name, value.strip(b" \t"))
            if name is not None:
                wait_for(found, inner.get(name))
    return found


cdef int wait_for(dict waits, bytes ordinal) except -1:
    if ordinal is not None:
        waits[ordinal] = None
    return 0


cdef Renaming renaming_of(bytes body, dict inner):
    """Of a valid JSON text; None: it has no link to a member, as far as a look can tell."""
    cdef Renaming made
    if not inner or not may_link(body):
        return None
    made = Renaming.__new__(Renaming)
    made.body = body
    made.inner = inner
    made.waits = {}
    return made


cdef class Renaming:
    cdef bint step(self) except -1:
        """The work of PIECE bytes; whether all is renamed."""
        cdef const uint8_t* p = self.body
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.body), at = self.at, start, stop, most = PIECE
        cdef const uint8_t* quote
        cdef bint escaped = False, linking = self.linking
        while at < n and most > 0:
            start = at
            if linking:
                # A link, or several in an array, up to the first byte that belongs to something else.
                while at < n and (p[at] == c'[' or p[at] == c',' or is_space(p[at])):
                    at += 1
                linking = at < n and p[at] == c'"'
            quote = <const uint8_t*>memchr(p + at, c'"', n - at)
            if quote == NULL:
                at = n
                break
            most -= quote - p + 1 - start
            start = quote - p + 1
            stop = string_end(p, start, n, &escaped)
            most -= stop - start
            at = skip_space(p, stop + 1, n)
            if at < n and p[at] == c':':
                at += 1
                linking = False
                if escaped:
                    most -= CANDIDATE
                    linking = is_link_name(unescaped(p + start, stop - start))
                elif p[stop - 1] == c'd':
                    most -= CANDIDATE
                    linking = is_link_name(p[start:stop])
            elif linking and begins_reference(p + start, stop - start):
                most -= CANDIDATE
                self.rename(start, stop, escaped)
        self.at = at
        self.linking = linking
        return at >= n

    cdef int rename(self, Py_ssize_t start, Py_ssize_t stop, bint escaped) except -1:
        """Renames the link whose string has these bounds, if it is a reference to a member."""
        cdef const uint8_t* p = self.body
        cdef bytes renamed = renamed_link(
            unescaped(p + start, stop - start) if escaped else p[start:stop], self.inner, self.waits)
        if renamed is None:
            return 0
        if self.out is None:
            self.out = Buffer()
        self.out.put(<const char*>p + self.done, start - 1 - self.done)
        self.out.put_bytes(renamed)
        self.done = stop + 1
        return 0

    cdef bytes text(self):
        """The body with its links renamed; asked once, after the last step."""
        if self.out is None:
            return self.body
        self.out.put(PyBytes_AS_STRING(self.body) + self.done, PyBytes_GET_SIZE(self.body) - self.done)
        return self.out.take()


cdef bint begins_reference(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """Whether the first character of a string is a dollar, escaped or not."""
    return n > 0 and (p[0] == c'$' or (n > 6 and memcmp(p, b"\\u0024", 6) == 0))


cdef bint may_link(bytes body) except -1:
    """Whether a JSON text may have a link that is a reference; this looks for what is rare."""
    return b"\\u" in body or (b'"$' in body and (
        b'@id"' in body or b'@bind"' in body or b'@odata.id"' in body or b'@odata.bind"' in body))


cdef bint is_space(uint8_t c) noexcept nogil:
    return c == c' ' or c == c'\n' or c == c'\r' or c == c'\t'


cdef bint is_link_name(bytes name) except -1:
    return name.endswith((b"@id", b"@bind", b"@odata.id", b"@odata.bind"))


cdef bytes renamed_link(bytes link, dict inner, dict waits):
    """The JSON string for a link that is a reference to a member, or None."""
    found = _REFERENCE.match(link)
    if found is None or found.group(1) not in inner:
        return None
    wait_for(waits, inner[found.group(1)])
    link = b"$" + inner[found.group(1)] + link[found.end():]
    return json.dumps(link.decode("utf-8", "surrogatepass")).encode()
