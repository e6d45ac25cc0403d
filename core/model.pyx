"""What every package hands to the next: Call, Result, Buffer.

Data only. Must never know order, sockets or a dialect, and never hold anything of another batch.
"""
from batchwire.core.asserts cimport must_hold
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from batchwire.core.errors import error_object

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)


cdef double now() noexcept nogil:
    """Seconds of the monotonic clock; cheaper than a call into the loop."""
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <double>t.tv_sec + <double>t.tv_nsec * 1e-9


cdef class Buffer:
    def __dealloc__(self):
        free(self.data)

    cdef int grow(self, Py_ssize_t extra) except -1:
        cdef Py_ssize_t wanted = self.size + extra
        cdef Py_ssize_t capacity = self.capacity
        cdef char* data
        if wanted <= capacity:
            return 0
        if capacity < 512:
            capacity = 512
        while capacity < wanted:
            capacity += capacity >> 1
        data = <char*>realloc(self.data, capacity)
        if data == NULL:
            raise MemoryError()
        self.data = data
        self.capacity = capacity
        return 0

    cdef int put(self, const char* p, Py_ssize_t n) except -1:
        must_hold(n >= 0)
        if self.size + n > self.capacity:
            self.grow(n)
        if n:                     # memcpy() must not be given NULL, not even for nothing
            memcpy(self.data + self.size, p, n)
            self.size += n
        return 0

    cdef int put_bytes(self, bytes b) except -1:
        return self.put(PyBytes_AS_STRING(b), PyBytes_GET_SIZE(b))

    cdef int put_char(self, char c) except -1:
        if self.size + 1 > self.capacity:
            self.grow(1)
        self.data[self.size] = c
        self.size += 1
        return 0

    cdef int put_uint(self, uint64_t n) except -1:
        cdef char digits[20]
        cdef int at = 20
        while True:
            at -= 1
            digits[at] = <char>(48 + n % 10)
            n //= 10
            if n == 0:
                break
        return self.put(&digits[at], 20 - at)

    cdef bytes take(self):
        cdef bytes taken = PyBytes_FromStringAndSize(self.data, self.size)
        self.size = 0
        # A buffer that once held something huge must not keep that memory for the rest of its life.
        if self.capacity > KEPT_BYTES:
            self.clear()
        return taken

    cdef void clear(self) noexcept:
        free(self.data)
        self.data = NULL
        self.size = 0
        self.capacity = 0


cdef class Refusal:
    def __init__(self, int status, str code, str message, int outcome=OUTCOME_REFUSED):
        self.status = status
        self.code = code
        self.message = message
        self.outcome = outcome


cdef class Holding:
    pass


cdef class Call:
    def __cinit__(self):
        self.position = -1
        self.head = b""
        self.id = b""
        self.method = b""
        self.url = b""

    cdef int set_body(self, object owner, const char* p, Py_ssize_t n) except -1:
        self.body_owner = owner
        self.body_ptr = p
        self.body_len = n
        return 0

    cdef int refuse(self, int status, str code, str message) except -1:
        # The first thing found wrong is the one reported.
        if self.refusal is None:
            self.refusal = Refusal(status, code, message)
        return 0

    def describe(self):
        """The call as plain Python values: for tests and `batchwire check`, never for the hot path."""
        cdef list headers = []
        for line in self.head.split(b"\r\n"):
            if line:
                name, _, value = line.partition(b": ")
                headers.append((name, value))
        return {
            "id": self.id,
            "method": self.method,
            "url": self.url,
            "headers": headers,
            "body": None if self.body_owner is None else self.body_ptr[:self.body_len],
            "depends_on": self.depends_on,
            "group": self.group,
            "condition": self.condition,
            "timeout": self.timeout,
            "refusal": None if self.refusal is None else (self.refusal.status, self.refusal.code),
        }


cdef class CallQueue:
    cdef int append(self, Call call) except -1:
        must_hold(call.behind is None)
        if self.last is None:
            self.first = call
        else:
            self.last.behind = call
        self.last = call
        return 0

    cdef int put_back(self, Call call) except -1:
        """The call is the first one again."""
        call.behind = self.first
        self.first = call
        if self.last is None:
            self.last = call
        return 0

    cdef bint put_first(self, uint64_t number) except -1:
        """The call of this number comes first from now on; whether it is there."""
        cdef Call before = None, call = self.first
        while call is not None and call.number != number:
            before = call
            call = call.behind
        if call is None:
            return False
        if before is not None:
            before.behind = call.behind
            if self.last is call:
                self.last = before
            self.put_back(call)
        return True

    cdef Call popleft(self):
        """The first call; the queue must not be empty."""
        cdef Call call = self.first
        self.first = call.behind
        call.behind = None
        if self.first is None:
            self.last = None
        return call

    cdef int clear(self) except -1:
        # One by one: a long chain that is let go at once would be freed recursively.
        while self.first is not None:
            self.popleft()
        return 0


cdef struct KnownHeader:
    const char* name
    int length
    int kind

cdef KnownHeader[19] KNOWN = [     # by length, so that a name is compared with few
    KnownHeader("te", 2, KIND_HOP),
    KnownHeader("etag", 4, KIND_ETAG),
    KnownHeader("trailer", 7, KIND_HOP),
    KnownHeader("upgrade", 7, KIND_HOP),
    KnownHeader("location", 8, KIND_LOCATION),
    KnownHeader("connection", 10, KIND_HOP),
    KnownHeader("keep-alive", 10, KIND_HOP),
    KnownHeader("set-cookie", 10, KIND_HOP),
    KnownHeader("content-type", 12, KIND_CONTENT_TYPE),
    KnownHeader("odata-version", 13, KIND_ODATA_VERSION),
    KnownHeader("content-length", 14, KIND_HOP),
    KnownHeader("odata-entityid", 14, KIND_ENTITY_ID),
    KnownHeader("proxy-connection", 16, KIND_HOP),
    KnownHeader("content-encoding", 16, KIND_CONTENT_ENCODING),
    KnownHeader("content-language", 16, KIND_CONTENT_LANGUAGE),
    KnownHeader("content-location", 16, KIND_ENTITY_ID),
    KnownHeader("transfer-encoding", 17, KIND_HOP),
    KnownHeader("proxy-authenticate", 18, KIND_HOP),
    KnownHeader("proxy-authentication-info", 25, KIND_HOP),
]
cdef enum:
    LONGEST_KNOWN = 25
cdef int[LONGEST_KNOWN + 2] FIRST_KNOWN      # index of the first of a length
_at = 0
for _n in range(LONGEST_KNOWN + 2):
    while _at < 19 and KNOWN[_at].length < _n:
        _at += 1
    FIRST_KNOWN[_n] = _at


cdef int header_kind(const char* name, int n) noexcept nogil:
    """Which of the headers that mean something to us `name` is (any case)."""
    cdef int i
    if n > LONGEST_KNOWN:
        return KIND_OTHER
    for i in range(FIRST_KNOWN[n], FIRST_KNOWN[n + 1]):
        if strncasecmp(KNOWN[i].name, name, n) == 0:
            return KNOWN[i].kind
    return KIND_OTHER


cdef inline bint header_is(HeaderSlice* header, bytes name) noexcept:
    """name: in lower case."""
    return header.name_len == PyBytes_GET_SIZE(name) \
        and strncasecmp(header.name, PyBytes_AS_STRING(name), header.name_len) == 0


cdef bint is_digest(HeaderSlice* header) noexcept:
    """Whether the value was made of the bytes of the body (RFC 9530, RFC 3230, RFC 1864)."""
    return header_is(header, b"digest") or header_is(header, b"content-md5") \
        or header_is(header, b"repr-digest") or header_is(header, b"content-digest")


cdef class Result:
    cdef void reset(self) noexcept:
        self.status = 0
        self.outcome = OUTCOME_UNSPECIFIED
        self.header_count = 0
        self.head_owner = None
        self.body_owner = None
        self.body = NULL
        self.body_len = 0
        self.oversized = False
        self.body_left_out = False
        self.coded = False
        self.started_us = 0
        self.elapsed_us = 0

    cdef void let_go(self) noexcept:
        """Of the memory of an answer. reset() before it is used again."""
        self.head_owner = None
        self.body_owner = None

    cdef Result copy(self):
        """For who keeps it longer than its upstream does; the bytes are shared."""
        cdef Result made = Result.__new__(Result)
        made.status = self.status
        made.outcome = self.outcome
        made.header_count = self.header_count
        memcpy(made.headers, self.headers, self.header_count * sizeof(HeaderSlice))
        made.head_owner = self.head_owner
        made.body_owner = self.body_owner
        made.body = self.body
        made.body_len = self.body_len
        made.oversized = self.oversized
        made.body_left_out = self.body_left_out
        made.coded = self.coded
        made.started_us = self.started_us
        made.elapsed_us = self.elapsed_us
        return made

    cdef void move_headers(self, const char* before, const char* after, Py_ssize_t n) noexcept:
        """Their n bytes have been copied from one place to another."""
        cdef int i
        cdef HeaderSlice* slot
        for i in range(self.header_count):
            slot = &self.headers[i]
            if before <= slot.name < before + n:
                slot.name = after + (slot.name - before)
            if before <= slot.value <= before + n:
                slot.value = after + (slot.value - before)

    cdef int add_header(self, const char* name, int name_len, const char* value, int value_len) except -1:
        """Adds a field; the memory must live as long as head_owner. False when the table is full."""
        cdef HeaderSlice* slot
        if self.header_count >= MAX_RESULT_HEADERS:
            return 0
        slot = &self.headers[self.header_count]
        slot.name = name
        slot.name_len = name_len
        slot.value = value
        slot.value_len = value_len
        slot.kind = header_kind(name, name_len)
        self.header_count += 1
        return 1

    cdef HeaderSlice* add_header_or_replace(self, const char* name, int name_len, const char* value,
                                            int value_len) except? NULL:
        """add_header(); when the table is full, a field that means something to us takes the place of one that does
        not. NULL: a field was left out for want of a place."""
        if self.add_header(name, name_len, value, value_len):
            return &self.headers[self.header_count - 1]
        if header_kind(name, name_len) == KIND_OTHER:
            return NULL
        return self.replace_other(name, name_len, value, value_len)

    cdef HeaderSlice* replace_other(self, const char* name, int name_len, const char* value,
                                    int value_len) except? NULL:
        """Puts a field in the place of the last one that means nothing to us; NULL: there is none."""
        cdef int i, count = self.header_count
        for i in range(count - 1, -1, -1):
            if self.headers[i].kind == KIND_OTHER:
                self.header_count = i
                self.add_header(name, name_len, value, value_len)
                self.header_count = count
                return &self.headers[i]
        return NULL

    cdef int add_note(self, bytes note) except -1:
        """Says in a header of the gateway's own what is odd about the answer (AN-01, AN-03), once: the upstream, another
        gateway, may have said the same."""
        cdef const char* text = PyBytes_AS_STRING(note)
        cdef int n = <int>PyBytes_GET_SIZE(note)
        cdef HeaderSlice* header
        cdef int i
        for i in range(self.header_count):
            header = &self.headers[i]
            if header_is(header, b"batchwire-note") and note in header.value[:header.value_len]:
                return 0
        self.head_owner = (self.head_owner, note)
        if not self.add_header("batchwire-note", 14, text, n):
            self.replace_other("batchwire-note", 14, text, n)
        return 0

    cdef int show_length(self) except -1:
        """AN-10: the answer has no body, and its content-length says how long the body of a GET would be."""
        cdef HeaderSlice* header
        cdef HeaderSlice* found = NULL
        cdef int i
        for i in range(self.header_count):
            header = &self.headers[i]
            if not header_is(header, b"content-length"):
                continue
            if not header.value[:header.value_len].isdigit():
                return 0
            if found != NULL and header.value[:header.value_len] != found.value[:found.value_len]:
                return 0                      # which of them is true cannot be told
            if found == NULL:
                found = header
        if found != NULL:
            found.kind = KIND_LENGTH
        return 0

    cdef int drop_digests(self) except -1:
        """AN-11: the body is not byte for byte the upstream's any more."""
        cdef int i
        for i in range(self.header_count):
            if self.headers[i].kind == KIND_OTHER and is_digest(&self.headers[i]):
                self.headers[i].kind = KIND_HOP
        return 0

    cdef HeaderSlice* find(self, int kind) noexcept:
        cdef int i
        for i in range(self.header_count):
            if self.headers[i].kind == kind:
                return &self.headers[i]
        return NULL

    cdef int set_error(self, int status, int outcome, str code, str message) except -1:
        """Becomes an answer of the gateway's own: the OData error object (ER-01, ER-02)."""
        cdef bytes body = error_object(code, message)
        self.header_count = 0
        self.status = status
        self.outcome = outcome
        self.head_owner = None
        self.add_header("content-type", 12, "application/json", 16)
        self.add_header("content-language", 16, "en", 2)
        self.body_owner = body
        self.body = PyBytes_AS_STRING(body)
        self.body_len = PyBytes_GET_SIZE(body)
        return 0

    def fill(self, int status, list headers, bytes body=None, int outcome=OUTCOME_SUCCEEDED):
        """Sets the result from Python values: for upstreams written in Python and for tests."""
        self.reset()
        self.status = status
        self.outcome = outcome
        self.head_owner = headers
        for name, value in headers:
            self.add_header(<bytes>name, len(name), <bytes>value, len(value))
        if body is not None:
            self.body_owner = body
            self.body = PyBytes_AS_STRING(body)
            self.body_len = PyBytes_GET_SIZE(body)
