"""Which names a batch may give to its calls and groups. Must never look at what they name."""
from libc.stdint cimport uint8_t

# RFC 3986 2.3: unreserved.
cdef uint8_t[256] UNRESERVED
for _c in bytearray(b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    UNRESERVED[_c] = 1
# Of addresses and URNs. Nothing that has a meaning where ids are referred to, or written into an answer.
cdef uint8_t[256] OPAQUE
for _c in bytearray(b"@+:=,;!*'{}&#%|"):
    OPAQUE[_c] = 1


cdef str id_characters(bint opaque):
    return "letters, digits and -._~" + "@+:=,;!*'{}&#%|" * opaque


cdef bint is_request_id(const char* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if not UNRESERVED[<uint8_t>p[i]]:
            return False
    return n > 0


cdef bint is_opaque_id(const char* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if not UNRESERVED[<uint8_t>p[i]] and not OPAQUE[<uint8_t>p[i]]:
            return False
    return n > 0
