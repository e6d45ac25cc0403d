"""Results -> messages of batchwire.v1 (BatchResponse, ExecuteResponse).

Each write() appends one `results` field, or several of at most PART bytes each for a body that comes in parts, so
any run of whole fields is a valid message. Bodies are the upstream's bytes: large ones stay apart from what is around
them, and are not copied (PL-01). Must never alter a body.
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.dialects.base cimport Summary, Writer
from batchwire.core.dialects.header_names cimport value_in_utf8
from batchwire.core.dialects.identifiers cimport MAX_ID
from batchwire.core.dialects.wire cimport field_at, put_field, put_varint, varint_at, varint_size
from batchwire.core.model cimport Buffer, Call, HeaderSlice, KIND_HOP, KIND_OTHER, Result
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    PART = 1048576            # bytes of one part of a body
    HEAD_BYTES = 256          # of a result without its body, about
    FRAME = 6                 # key and length in front of a result
    BARE = 44                 # status, outcome, timings, body_bytes and body_left_out, at most; id and group come to it
    NOTE = 48                 # the longest batchwire-note that is short
    PART_FRAME = 8            # key and length of a part of a body, and body_continues
    SUMMARY = 128             # BatchSummary, at most
    TOLD = 6                  # outcomes in it
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


cdef Py_ssize_t least_of(Call call) noexcept:
    """Bytes that are enough for the result of a call, whatever it is, when body and headers are left out."""
    return (FRAME + BARE + NOTE + length_size(PyBytes_GET_SIZE(call.id))
            + (0 if call.group is None else length_size(PyBytes_GET_SIZE(call.group))))


cdef int put_note(Buffer inner, Py_ssize_t body, bint headers, Py_ssize_t room) except -1:
    """Says what is left out: the body, by its bytes (0: it is not), and headers; in at most so many bytes."""
    cdef bytes note = b"body left out: its %d bytes do not fit the message" % body
    if headers:
        note = b"body and headers left out" if body else b"headers left out"
    elif PyBytes_GET_SIZE(note) > room - 20:                        # which the name takes, and keys and lengths
        note = b"body left out"
    return put_header(inner, b"batchwire-note", note)


cdef class ProtoWriter(Writer):
    def __init__(self):
        self.splits = False
        self.sets_apart = True
        self.scratch = Buffer()
        self.bound(DEFAULT_MESSAGE, False, False)

    cdef Py_ssize_t bound(self, Py_ssize_t max_message, bint parts, bint one_message) except -1:
        """AN-07."""
        if max_message == 0:
            max_message = DEFAULT_MESSAGE
        self.max_message = min(max(max_message, <Py_ssize_t>LEAST_MESSAGE), <Py_ssize_t>MOST_MESSAGE)
        self.room = self.max_message - (SUMMARY if one_message else 0)
        self.parts = parts and not one_message
        self.one_message = one_message
        return self.max_message

    cdef int expect(self, Call call) except -1:
        cdef Py_ssize_t least = least_of(call)
        self.largest = max(self.largest, least)
        self.due += least
        self.expected += 1
        return 0

    cdef bint fits(self) noexcept:
        return (self.due if self.one_message else self.largest + PART_FRAME) <= self.room

    cdef int begin(self, Buffer out) except -1:
        return 0

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        cdef Py_ssize_t size, before = out.size, least = 0, most = self.room, others = 0
        cdef Py_ssize_t group = 0 if call.group is None else PyBytes_GET_SIZE(call.group)
        cdef Py_ssize_t body_at = -1
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
                value = value_in_utf8(header.value[:header.value_len])
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
        if self.one_message:
            least = least_of(call)
            most -= self.due - least
            # A body leaves room for the heads of all others, but not for more than half of the message.
            if result.body_owner is not None:
                others = min(HEAD_BYTES * (self.expected - 1), self.max_message // 2) - (self.due - least)
        if FRAME + size > most - max(others, 0):
            self.write_large(out, call, result, most)
            return self.written(least, out.size - before)
        # The size is known, so nothing below looks whether there is room.
        out.grow(size + 12 if self.bodies is None else size - result.body_len + 12)
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
            if self.bodies is None:
                p = field_at(p, 0x22, result.body, result.body_len)  # body = 4
            else:
                p[0] = 0x22
                p = varint_at(p + 1, result.body_len)
                body_at = p - out.data
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
        if body_at < 0:
            return self.written(least, out.size - before)
        self.bodies.append((body_at, body_of(result), out.size))
        return self.written(least, out.size - before + result.body_len)

    cdef list apart(self, Call call, Result result):
        cdef list bodies
        self.bodies = []
        self.scratch.size = 0
        try:
            self.write(self.scratch, call, result)
        finally:
            bodies, self.bodies = self.bodies, None
        return self.messages_of(self.scratch.take(), bodies)

    cdef list messages_of(self, bytes text, list bodies):
        """What write() has appended with the bodies that it has left apart, see `bodies`. Several share a message as far
        as they fit."""
        cdef list messages = [], message = []
        cdef Py_ssize_t at, end, begun = 0, size = 0, more
        cdef bytes body
        if not bodies:
            return [text]
        for at, body, end in bodies:
            more = end - begun + PyBytes_GET_SIZE(body)
            if size and size + more > self.max_message:
                messages.append(message)
                message = []
                size = 0
            message += [text[begun:at], body, text[at:end]]
            size += more
            begun = end
        if self.one_message:
            return message
        messages.append(message)
        return messages

    cdef Py_ssize_t written(self, Py_ssize_t least, Py_ssize_t n) except? -1:
        """A result was written, in n bytes; least: what was kept for it. Returns n."""
        if self.one_message:
            self.room -= n
            self.due -= least
            self.expected -= 1
            must_hold(self.room >= self.due >= 0)
        return n

    cdef int write_large(self, Buffer out, Call call, Result result, Py_ssize_t most) except -1:
        """A result that does not fit as it is, in at most so many bytes. Its body goes first, then its headers."""
        cdef Py_ssize_t total = result.body_len if result.body_owner is not None else 0
        # An id that is too long (PL-03) would come again with each part.
        cdef bint parts = self.parts and total > 0 and PyBytes_GET_SIZE(call.id) <= MAX_ID
        cdef bint left_out = total > 0 and not parts, all_headers = True
        cdef bint known
        cdef Buffer inner = Buffer(), timings = Buffer(), header
        cdef int i
        most -= FRAME + NOTE + (PART_FRAME if parts else 0)
        put_field(inner, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        inner.put_char(0x10)
        put_varint(inner, result.status)
        if call.group is not None:
            put_field(inner, 0x2A, PyBytes_AS_STRING(call.group), PyBytes_GET_SIZE(call.group))
        if result.started_us:
            timings.put_char(0x08)
            put_varint(timings, result.started_us)
        if result.elapsed_us:
            timings.put_char(0x10)
            put_varint(timings, result.elapsed_us)
        if timings.size:
            put_field(inner, 0x32, timings.data, timings.size)
        inner.put_char(0x38)
        put_varint(inner, result.outcome)
        if total:
            inner.put_char(0x40)                                    # body_bytes = 8
            put_varint(inner, total)
        elif result.body_owner is not None:
            put_field(inner, 0x22, b"", 0)
        if left_out:
            inner.put(b"\x48\x01", 2)                               # body_left_out = 9
        # Where not all fit, those that mean something to a client are first.
        for known in (True, False):
            for i in range(result.header_count):
                if result.headers[i].kind == KIND_HOP or (result.headers[i].kind != KIND_OTHER) != known:
                    continue
                header = self.header_of(&result.headers[i])
                if inner.size + header.size <= most:
                    inner.put(header.data, header.size)
                else:
                    all_headers = False
        if left_out or not all_headers:
            put_note(inner, total if left_out else 0, not all_headers, most + NOTE - inner.size)
        if parts:
            return self.put_parts(out, inner, call, result, most + NOTE + PART_FRAME)
        return put_field(out, 0x0A, inner.data, inner.size)

    cdef int put_parts(self, Buffer out, Buffer inner, Call call, Result result, Py_ssize_t most) except -1:
        """The body in parts, each in a Result of at most so many bytes besides its frame; inner: the first, without body."""
        cdef Py_ssize_t n, body_at, at = 0
        cdef bint last = False
        while not last:
            # Nothing where the head alone is as large as the message; what follows has room, for it has no head.
            n = max(min(result.body_len - at, <Py_ssize_t>PART, most - PART_FRAME - inner.size), <Py_ssize_t>0)
            last = at + n == result.body_len
            out.put_char(0x0A)
            put_varint(out, inner.size + 1 + varint_size(n) + n + (0 if last else 2))
            out.put(inner.data, inner.size)
            out.put_char(0x22)
            put_varint(out, n)
            body_at = out.size
            if self.bodies is None:
                out.put(result.body + at, n)
            if not last:
                out.put(b"\x50\x01", 2)                             # body_continues = 10
            if self.bodies is not None:
                # A copy, so that it goes when the client has taken it (AN-05).
                self.bodies.append((body_at, PyBytes_FromStringAndSize(result.body + at, n), out.size))
            at += n
            inner.size = 0
            put_field(inner, 0x0A, PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        return 0

    cdef Buffer header_of(self, HeaderSlice* header):
        """The field `headers` of one header."""
        cdef Buffer made = Buffer()
        put_header(made, header.name[:header.name_len].lower(), value_in_utf8(header.value[:header.value_len]))
        return made

    cdef int end(self, Buffer out, const Summary* summary) except -1:
        """Appends BatchSummary."""
        cdef char[SUMMARY] inner
        cdef char[32] elapsed
        cdef char* p = inner
        cdef char* q = elapsed
        cdef uint64_t nanoseconds = <uint64_t>(summary.elapsed * 1e9)
        cdef int i
        p = number_at(p, 1, summary.calls)
        for i in range(TOLD):
            p = number_at(p, 2 + i, summary.outcomes[i])
        q = number_at(q, 1, nanoseconds // 1000000000)
        q = number_at(q, 2, nanoseconds % 1000000000)
        p = field_at(p, 0x42, elapsed, q - elapsed)                 # elapsed = 8
        return put_field(out, 0x12, inner, p - inner)               # summary = 2


cdef bytes body_of(Result result):
    """The body; a copy only where it lies among other bytes, which it would keep (AN-05)."""
    if type(result.body_owner) is bytes and PyBytes_GET_SIZE(result.body_owner) == result.body_len:
        return result.body_owner
    return PyBytes_FromStringAndSize(result.body, result.body_len)


cdef inline char* number_at(char* p, int field, uint64_t n) noexcept nogil:
    """Writes a varint field unless it is 0; returns what follows."""
    if n == 0:
        return p
    p[0] = <char>(field << 3)
    return varint_at(p + 1, n)
