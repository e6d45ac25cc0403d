# The protobuf wire format (protobuf.dev/programming-guides/encoding), as far as batch.proto needs it.
from batchwire.core.model cimport Buffer
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum WireType:
    WIRE_VARINT = 0
    WIRE_FIXED64 = 1
    WIRE_BYTES = 2
    WIRE_FIXED32 = 5

cdef struct Field:
    int number
    int type
    uint64_t value            # WIRE_VARINT
    const char* data          # WIRE_BYTES
    Py_ssize_t size

cdef inline int varint_size(uint64_t n) noexcept nogil:
    cdef int size = 1
    while n >= 0x80:
        n >>= 7
        size += 1
    return size

cdef const char* next_field(const char* p, const char* end, Field* field) noexcept nogil
cdef int put_varint(Buffer out, uint64_t n) except -1
cdef int put_field(Buffer out, int tag, const char* data, Py_ssize_t n) except -1
cdef double read_duration(const char* p, Py_ssize_t n) noexcept

cdef inline char* varint_at(char* p, uint64_t n) noexcept nogil:
    """Writes at p, where there must be room; returns what follows."""
    while n >= 0x80:
        p[0] = <char>(n & 0x7f | 0x80)
        p += 1
        n >>= 7
    p[0] = <char>n
    return p + 1

cdef inline char* field_at(char* p, int tag, const char* data, Py_ssize_t n) noexcept nogil:
    """put_field() where there is room."""
    p[0] = <char>tag
    p = varint_at(p + 1, n)
    if n:                         # data may be NULL then
        memcpy(p, data, n)
    return p + n
