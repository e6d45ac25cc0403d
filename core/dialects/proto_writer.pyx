"""Results -> messages of batchwire.v1 (BatchResponse, ExecuteResponse).

Each write() appends one `results` field, or several of at most PART bytes each for a body that comes in parts, so
any run of whole fields is a valid message. Bodies are the upstream's bytes. Must never alter a body.
"""
from batchwire.core.dialects.base cimport Writer
from batchwire.core.dialects.wire cimport field_at, put_field, put_varint, varint_at, varint_size
from batchwire.core.model cimport Buffer, Call, HeaderSlice, KIND_HOP, Result
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t


cdef enum:
    PART = 1048576            # bytes of one part of a body
    HEAD_BYTES = 256          # of a result without its headers and body, about
    SLACK = 64                # keys and lengths around a result, and fields that only a large one has
    LEAST_MESSAGE = 65536     # holds the headers of any answer
    MOST_MESSAGE = 67108864
    DEFAULT_MESSAGE = 4194304  # what gRPC clients take unless they are told otherwise


cdef inline int length_size(Py_ssize_t n) noexcept nogil:
    """Bytes of a length-delimited field with a one-byte key."""
    return <int>(1 + varint_size(n) + n)


cdef bint is_ascii(const char* p, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        if <uint8_t>p[i] >= 0x80:
            return False
    return True


cdef int put_header(Buffer inner, bytes name, bytes value) except -1:
    cdef Buffer part = Buffer()
    put_field(part, 0x0A, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    put_field(part, 0x12, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return put_field(inner, 0x1A, part.data, part.size)


cdef int put_note(Buffer inner, bytes note) except -1:
    return put_header(inner, b"batchwire-note", note)


cdef class ProtoWriter(Writer):
    def __init__(self):
        self.splits = False
        self.bound(DEFAULT_MESSAGE, False, False)

    cdef Py_ssize_t bound(self, Py_ssize_t max_message, bint parts, bint one_message) except -1:
        """AN-07."""
        if max_message == 0:
            max_message = DEFAULT_MESSAGE
        self.max_message = min(max(max_message, <Py_ssize_t>LEAST_MESSAGE), <Py_ssize_t>MOST_MESSAGE)
        self.room = self.max_message - SLACK
        self.parts = parts and not one_message
        self.one_message = one_message
        return self.max_message

    cdef int expect(self, uint64_t results) except -1:
        """Keeps room for the heads of all of them, but not more than half of the message."""
        self.reserve = min(HEAD_BYTES * <Py_ssize_t>results, self.max_message // 2)
        return 0

    cdef int begin(self, Buffer out) except -1:
        return 0

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        cdef Py_ssize_t size, before = out.size
        cdef Py_ssize_t group = 0 if call.group is None else PyBytes_GET_SIZE(call.group)
        cdef int timings = 0, i, j
        cdef HeaderSlice* header
        cdef list recoded = None
        cdef bytes value
        cdef char* p
        cdef char c
        # Field by field as in batch.proto; first the length, which stands in front.
        size = length_size(PyBytes_GET_SIZE(call.id)) + 1 + varint_size(result.status) + 2
        for i in range(result.header_count):
            header = &result.headers[i]
            if header.kind == KIND_HOP:
                continue
            j = header.value_len
            if not is_ascii(header.value, header.value_len):
                # proto3 strings are UTF-8: other bytes are read as Latin-1 (batch.proto, Header.value). The
                # result keeps its own bytes: the plan reads them after us.
                if recoded is None:
                    recoded = [None] * result.header_count
                value = self.recode(header.value[:header.value_len])
                recoded[i] = value
                j = <int>PyBytes_GET_SIZE(value)
            j = length_size(header.name_len) + length_size(j)
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
        if size > self.room - self.reserve:
            self.write_large(out, call, result)
            if self.one_message:
                self.room -= out.size - before
            return out.size - before
        # The size is known, so nothing below looks whether there is room.
        out.grow(size + 12)
        p = out.data + out.size
        p[0] = 0x0A                                                 # results = 1
        p = varint_at(p + 1, size)
        p = field_at(p, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        p[0] = 0x10                                                 # status = 2
        p = varint_at(p + 1, result.status)
        for i in range(result.header_count):
            header = &result.headers[i]
            if header.kind == KIND_HOP:
                continue
            value = None if recoded is None else recoded[i]
            j = header.value_len if value is None else <int>PyBytes_GET_SIZE(value)
            p[0] = 0x1A                                             # headers = 3
            p = varint_at(p + 1, length_size(header.name_len) + length_size(j))
            p[0] = 0x0A
            p = varint_at(p + 1, header.name_len)
            for j in range(header.name_len):
                c = header.name[j]
                p[j] = c + 32 if 65 <= c <= 90 else c
            p += header.name_len
            if value is None:
                p = field_at(p, 0x12, header.value, header.value_len)
            else:
                p = field_at(p, 0x12, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        if result.body_owner is not None:
            p = field_at(p, 0x22, result.body, result.body_len)     # body = 4
        if group:
            p = field_at(p, 0x2A, PyBytes_AS_STRING(call.group), group)
        if timings:
            p[0] = 0x32                                             # timings = 6
            p = varint_at(p + 1, timings)
            if result.started_us:
                p[0] = 0x08
                p = varint_at(p + 1, result.started_us)
            if result.elapsed_us:
                p[0] = 0x10
                p = varint_at(p + 1, result.elapsed_us)
        p[0] = 0x38                                                 # outcome = 7
        p = varint_at(p + 1, result.outcome)
        out.size = p - out.data
        if self.one_message:
            self.room -= out.size - before
        return out.size - before

    cdef int write_large(self, Buffer out, Call call, Result result) except -1:
        """A result that does not fit a message."""
        cdef Buffer inner = Buffer()
        cdef Py_ssize_t at, n, total = result.body_len if result.body_owner is not None else 0
        cdef Py_ssize_t room = self.room - self.reserve
        self.put_head(inner, call, result, True)
        if inner.size + SLACK > room:
            inner.size = 0
            self.put_head(inner, call, result, False)
            put_note(inner, b"headers left out: they do not fit the message")
        if total:
            inner.put_char(0x40)                                    # body_bytes = 8
            put_varint(inner, total)
        if not self.parts or total == 0:
            if total:
                put_note(inner, b"body left out: its %d bytes do not fit the message" % total)
                inner.put(b"\x48\x01", 2)                           # body_left_out = 9
            return put_field(out, 0x0A, inner.data, inner.size)
        at = 0
        while at < total:
            n = min(total - at, <Py_ssize_t>PART, room - inner.size - SLACK)
            self.put_part(out, inner, result, at, n)
            at += n
            inner.size = 0
            put_field(inner, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        return 0

    cdef int put_part(self, Buffer out, Buffer inner, Result result, Py_ssize_t start, Py_ssize_t n) except -1:
        """One Result: what `inner` says, and a part of the body."""
        cdef bint last = start + n == result.body_len
        out.put_char(0x0A)
        put_varint(out, inner.size + 1 + varint_size(n) + n + (0 if last else 2))
        out.put(inner.data, inner.size)
        put_field(out, 0x22, result.body + start, n)
        return 0 if last else out.put(b"\x50\x01", 2)               # body_continues = 10

    cdef int put_head(self, Buffer inner, Call call, Result result, bint headers) except -1:
        """All fields of a Result but its body."""
        cdef Buffer part = Buffer()
        cdef HeaderSlice* header
        cdef int i
        put_field(inner, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        inner.put_char(0x10)
        put_varint(inner, result.status)
        for i in range(result.header_count if headers else 0):
            header = &result.headers[i]
            if header.kind != KIND_HOP:
                put_header(inner, header.name[:header.name_len].lower(),
                           self.recode(header.value[:header.value_len]))
        if call.group is not None:
            put_field(inner, 0x2A, PyBytes_AS_STRING(call.group), PyBytes_GET_SIZE(call.group))
        if result.started_us:
            part.put_char(0x08)
            put_varint(part, result.started_us)
        if result.elapsed_us:
            part.put_char(0x10)
            put_varint(part, result.elapsed_us)
        if part.size:
            put_field(inner, 0x32, part.data, part.size)
        inner.put_char(0x38)
        return put_varint(inner, result.outcome)

    cdef bytes recode(self, bytes value):
        """The value in UTF-8: as it is, or read as Latin-1."""
        try:
            value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1").encode()
        return value

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
