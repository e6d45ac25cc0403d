"""The protobuf wire format, as far as batch.proto needs it. Must never read past the end it is given."""
from batchwire.core.model cimport Buffer
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef inline const char* read_varint(const char* p, const char* end, uint64_t* value) noexcept nogil:
    cdef uint64_t n = 0
    cdef int shift = 0
    cdef uint8_t c
    while p < end and shift < 70:
        c = <uint8_t>p[0]
        p += 1
        n |= <uint64_t>(c & 0x7f) << shift
        if c < 0x80:
            value[0] = n
            return p
        shift += 7
    return NULL


cdef const char* next_field(const char* p, const char* end, Field* field) noexcept nogil:
    """Reads the field at p; returns what follows it, or NULL when the bytes are no protobuf."""
    cdef uint64_t key = 0, size = 0
    p = read_varint(p, end, &key)
    if p == NULL or key >> 3 == 0 or key >> 3 > 536870911:
        return NULL
    field.number = <int>(key >> 3)
    field.type = <int>(key & 7)
    field.data = NULL
    field.size = 0
    if field.type == WIRE_VARINT:
        return read_varint(p, end, &field.value)
    if field.type == WIRE_BYTES:
        p = read_varint(p, end, &size)
        if p == NULL or size > <uint64_t>(end - p):
            return NULL
        field.data = p
        field.size = <Py_ssize_t>size
        return p + size
    # No field of ours is of a fixed size, but a newer client's unknown field may be.
    if field.type == WIRE_FIXED64:
        return p + 8 if end - p >= 8 else NULL
    if field.type == WIRE_FIXED32:
        return p + 4 if end - p >= 4 else NULL
    return NULL


cdef int put_varint(Buffer out, uint64_t n) except -1:
    if out.size + 10 > out.capacity:
        out.grow(10)
    while n >= 0x80:
        out.data[out.size] = <char>(n & 0x7f | 0x80)
        out.size += 1
        n >>= 7
    out.data[out.size] = <char>n
    out.size += 1
    return 0


cdef int put_field(Buffer out, int tag, const char* data, Py_ssize_t n) except -1:
    """A length-delimited field; tag: the key byte (numbers up to 15)."""
    out.put_char(<char>tag)
    put_varint(out, n)
    return out.put(data, n)


cdef double read_duration(const char* p, Py_ssize_t n) noexcept:
    """google.protobuf.Duration in seconds; negative when malformed or below zero."""
    cdef const char* end = p + n
    cdef Field field
    cdef double seconds = 0
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            return -1
        if field.type == WIRE_VARINT:
            if field.number == 1:
                seconds += <double><int64_t>field.value
            elif field.number == 2:
                seconds += <double><int64_t>field.value * 1e-9
    return seconds
