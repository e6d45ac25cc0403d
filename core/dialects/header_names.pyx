"""How a header is spelt in an answer: its name in lower case, or the canonical case (PR-02), its value in UTF-8.

Upstreams spell names in any way (HTTP/2 and ASGI in lower case), clients of the compatible profile look
some of them up by exact spelling. Must never change anything of a name but the case of letters.
"""
from batchwire.core.model cimport Buffer
from libc.stdint cimport uint8_t

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef struct Spelling:
    const char* name
    int length

# Names whose canonical form is not simply a capital after each dash.
cdef Spelling[14] SPELLINGS = [
    Spelling("ETag", 4),
    Spelling("OData-Version", 13),
    Spelling("OData-MaxVersion", 16),
    Spelling("OData-EntityId", 14),
    Spelling("OData-Error", 11),
    Spelling("OData-Isolation", 15),
    Spelling("AsyncResult", 11),
    Spelling("WWW-Authenticate", 16),
    Spelling("Content-ID", 10),
    Spelling("Content-MD5", 11),
    Spelling("DataServiceVersion", 18),
    Spelling("X-UA-Compatible", 15),
    Spelling("X-XSS-Protection", 16),
    Spelling("NEL", 3),
]

# RFC 9110 5.6.2: tchar, in lower case; 0 for any other byte.
cdef uint8_t[256] LOWER
for _c in bytearray(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"):
    LOWER[_c] = _c
for _c in bytearray(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    LOWER[_c] = _c + 32


cdef bint put_name(Buffer out, const char* name, int n, bint lowercase) except -1:
    cdef uint8_t* to
    cdef uint8_t c
    cdef bint first = True
    cdef int i
    out.grow(n)
    to = <uint8_t*>out.data + out.size
    for i in range(n):
        c = LOWER[<uint8_t>name[i]]
        if c == 0:
            return False
        if first and not lowercase and c'a' <= c <= c'z':
            c -= 32
        to[i] = c
        first = c == c'-'
    if n == 0:
        return False
    if not lowercase and to[0] in (c'E', c'O', c'A', c'W', c'C', c'D', c'X', c'N'):
        for i in range(14):
            if SPELLINGS[i].length == n and strncasecmp(SPELLINGS[i].name, name, n) == 0:
                return out.put(SPELLINGS[i].name, n) == 0
    out.size += n
    return True


cdef bytes value_in_utf8(bytes value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value
