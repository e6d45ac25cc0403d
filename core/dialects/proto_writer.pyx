"""Results -> messages of batchwire.v1 (BatchResponse, ExecuteResponse).

Each write() appends one `results` field, so any run of whole writes is a valid message. Bodies are the
upstream's bytes. Must never alter a body.
"""
from batchwire.core.dialects.base cimport Writer
from batchwire.core.dialects.wire cimport put_field, put_varint, varint_size
from batchwire.core.model cimport Buffer, Call, HeaderSlice, KIND_HOP, Result
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t


cdef inline int length_size(Py_ssize_t n) noexcept nogil:
    """Bytes of a length-delimited field with a one-byte key."""
    return <int>(1 + varint_size(n) + n)


cdef bint is_ascii(const char* p, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        if <uint8_t>p[i] >= 0x80:
            return False
    return True


cdef class ProtoWriter(Writer):
    cdef int begin(self, Buffer out) except -1:
        return 0

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        cdef Py_ssize_t size, before = out.size
        cdef Py_ssize_t group = 0 if call.group is None else PyBytes_GET_SIZE(call.group)
        cdef int timings = 0, i, j
        cdef HeaderSlice* header
        cdef list owners = None
        cdef char* name
        # Field by field as in batch.proto; first the length, which stands in front.
        size = length_size(PyBytes_GET_SIZE(call.id)) + 1 + varint_size(result.status) + 2
        for i in range(result.header_count):
            header = &result.headers[i]
            if header.kind == KIND_HOP:
                continue
            if not is_ascii(header.value, header.value_len):
                # proto3 strings are UTF-8: other bytes are read as Latin-1 (batch.proto, Header.value).
                owners = self.recode(header, owners)
            j = length_size(header.name_len) + length_size(header.value_len)
            size += 1 + varint_size(j) + j
        if result.body_owner is not None:
            size += 1 + varint_size(result.body_len) + result.body_len
        if group:
            size += length_size(group)
        if result.started_us:
            timings += 1 + varint_size(result.started_us)
        if result.elapsed_us:
            timings += 1 + varint_size(result.elapsed_us)
        if timings:
            size += 2 + timings
        out.grow(size + 12)
        out.put_char(0x0A)                                          # results = 1
        put_varint(out, size)
        put_field(out, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        out.put_char(0x10)                                          # status = 2
        put_varint(out, result.status)
        for i in range(result.header_count):
            header = &result.headers[i]
            if header.kind == KIND_HOP:
                continue
            out.put_char(0x1A)                                      # headers = 3
            put_varint(out, length_size(header.name_len) + length_size(header.value_len))
            put_field(out, 0x0A, header.name, header.name_len)
            name = out.data + out.size - header.name_len
            for j in range(header.name_len):
                if 65 <= name[j] <= 90:
                    name[j] += 32
            put_field(out, 0x12, header.value, header.value_len)
        if result.body_owner is not None:
            put_field(out, 0x22, result.body, result.body_len)      # body = 4
        if group:
            put_field(out, 0x2A, PyBytes_AS_STRING(call.group), group)
        if timings:
            out.put_char(0x32)                                      # timings = 6
            put_varint(out, timings)
            if result.started_us:
                out.put_char(0x08)
                put_varint(out, result.started_us)
            if result.elapsed_us:
                out.put_char(0x10)
                put_varint(out, result.elapsed_us)
        out.put_char(0x38)                                          # outcome = 7
        put_varint(out, result.outcome)
        return out.size - before

    def recode_value(self, bytes value):
        try:
            value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1").encode()
        return value

    cdef list recode(self, HeaderSlice* header, list owners):
        cdef bytes value = self.recode_value(header.value[:header.value_len])
        if owners is None:
            owners = []
        owners.append(value)
        header.value = PyBytes_AS_STRING(value)
        header.value_len = <int>PyBytes_GET_SIZE(value)
        return owners

    cdef int end(self, Buffer out, object summary) except -1:
        """Appends BatchSummary; summary: dict of Session.summary."""
        cdef Buffer inner = Buffer()
        cdef Buffer elapsed = Buffer()
        cdef uint64_t n
        cdef int number = 0
        for key in ("calls", "succeeded", "failed", "refused", "dependency_failed", "unreachable", "timed_out"):
            number += 1
            n = summary[key]
            if n:
                inner.put_char(<char>(number << 3))
                put_varint(inner, n)
        n = <uint64_t>(summary["elapsed"] * 1e9)
        if n // 1000000000:
            elapsed.put_char(0x08)
            put_varint(elapsed, n // 1000000000)
        if n % 1000000000:
            elapsed.put_char(0x10)
            put_varint(elapsed, n % 1000000000)
        put_field(inner, 0x42, elapsed.data, elapsed.size)          # elapsed = 8
        return put_field(out, 0x12, inner.data, inner.size)         # summary = 2
