"""Reads one HTTP/1.1 answer, in any split of its bytes, into a Result. No I/O.

Invariant (fuzzed): any bytes end in ANSWER_DONE, in ANSWER_BROKEN or in a wait for more; never an exception,
never more than max_head + max_body bytes held. An answer that lies whole in one read is not copied.

RFC 9112 grammar, as far as a client needs it:
    status-line = "HTTP/1." DIGIT SP 3DIGIT [SP reason] CRLF        (4)
    field-line  = token ":" OWS value OWS CRLF                      (5)
    chunk       = 1*HEXDIG [chunk-ext] CRLF data CRLF               (7.1)
A bare LF ends a line too (2.2); obs-fold and white space before the colon are refused (5.1, 5.2).
"""
from batchwire.core.headers cimport valid_value
from batchwire.core.model cimport (
    Buffer, HeaderSlice, KIND_HOP, KIND_OTHER, MAX_RESULT_HEADERS, Result, header_kind,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcpy

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    MAX_CHUNK_LINE = 4096
    BEHIND = 4096             # bytes of a body that may stay with the head that they came with

cdef uint8_t[256] TCHAR
for _c in bytearray(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    TCHAR[_c] = 1


cdef bint has_token(const char* p, Py_ssize_t n, const char* token, Py_ssize_t k) noexcept nogil:
    """Whether a comma-separated list holds `token` (any case)."""
    cdef Py_ssize_t start = 0, stop, at
    while start <= n:
        stop = start
        while stop < n and p[stop] != 44:
            stop += 1
        at = start
        while at < stop and (p[at] == 32 or p[at] == 9):
            at += 1
        if stop - at >= k and strncasecmp(p + at, token, k) == 0:
            at += k
            while at < stop and (p[at] == 32 or p[at] == 9):
                at += 1
            if at == stop:
                return True
        start = stop + 1
    return False


cdef void drop_named(Result result) noexcept nogil:
    """What Connection names is of this hop only (RFC 9110 7.6.1). It may name ten thousand: each is looked up once."""
    cdef HeaderSlice* header
    cdef NameTable table
    cdef int i, start, stop
    cdef bint made = False
    for i in range(result.header_count):
        header = &result.headers[i]
        if header.name_len != 10 or strncasecmp(header.name, "connection", 10) != 0:
            continue
        if not made:
            made = True
            list_names(&table, result)
        start = 0
        while start < header.value_len:
            stop = start
            while stop < header.value_len and header.value[stop] != 44:
                stop += 1
            drop_one(&table, result, header.value + start, stop - start)
            start = stop + 1


cdef struct NameTable:
    int[256] first                # by the low byte of the hash: index of a header, or -1
    int[MAX_RESULT_HEADERS] behind
    uint32_t[MAX_RESULT_HEADERS] hashes


cdef uint32_t hash_of(const char* p, int n) noexcept nogil:
    """Of a name in any case (FNV-1a)."""
    cdef uint32_t h = 2166136261u
    cdef int i
    for i in range(n):
        h = (h ^ (<uint8_t>p[i] | 0x20)) * 16777619u
    return h


cdef void list_names(NameTable* table, Result result) noexcept nogil:
    cdef int i, place
    for i in range(256):
        table.first[i] = -1
    for i in range(result.header_count):
        table.hashes[i] = hash_of(result.headers[i].name, result.headers[i].name_len)
        place = table.hashes[i] & 255
        table.behind[i] = table.first[place]
        table.first[place] = i


cdef void drop_one(NameTable* table, Result result, const char* token, int n) noexcept nogil:
    """Headers of this name are of this hop only. token: with the white space around it."""
    cdef HeaderSlice* named
    cdef uint32_t h
    cdef int i
    while n and (token[0] == 32 or token[0] == 9):
        token += 1
        n -= 1
    while n and (token[n - 1] == 32 or token[n - 1] == 9):
        n -= 1
    h = hash_of(token, n)
    i = table.first[h & 255]
    while i >= 0:
        named = &result.headers[i]
        if table.hashes[i] == h and named.name_len == n and named.kind == KIND_OTHER \
                and strncasecmp(named.name, token, n) == 0:
            named.kind = KIND_HOP
        i = table.behind[i]


cdef class Answer:
    """max_head, max_body: bytes; above them the answer is broken."""

    def __init__(self, Py_ssize_t max_head=32768, Py_ssize_t max_body=16 << 20):
        self.max_head = max_head
        self.max_body = max_body
        self.result = Result()
        self.state = ANSWER_DONE

    cdef void start(self, bint no_body) noexcept:
        self.result.reset()
        self.state = ANSWER_HEAD
        self.keep_alive = True
        self.begun = False
        self.why = None
        self.excess = False
        self.no_body = no_body
        self.held = None
        self.body = None
        self.gathered = None
        self.interim_bytes = 0
        self.trailer_bytes = 0

    cdef Py_ssize_t received(self) noexcept:
        if self.body is not None:
            return self.filled
        return 0 if self.gathered is None else self.gathered.size

    cdef Py_ssize_t length(self) noexcept:
        return 0 if self.body is None else PyBytes_GET_SIZE(self.body)

    cdef int broken(self, str why) except -1:
        self.state = ANSWER_BROKEN
        self.keep_alive = False
        self.why = why
        return 0

    cdef int too_large(self, str why) except -1:
        """Nothing is wrong but that the answer is beyond a bound: its status is known and counts (AN-03)."""
        self.excess = self.result.status >= 200
        return self.broken(why)

    cdef int done(self) except -1:
        if self.gathered is not None:
            self.body = self.gathered.take()
            self.gathered = None
        if self.body is not None:
            self.result.body_owner = self.body
            self.result.body = PyBytes_AS_STRING(self.body)
            self.result.body_len = PyBytes_GET_SIZE(self.body)
            self.body = None
        self.state = ANSWER_DONE
        return 0

    cdef int feed(self, bytes data) except -1:
        """Takes what was read. Bytes behind the end of the answer end the connection's reuse."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t at = 0, used, k
        if n == 0:
            return 0
        self.begun = True
        if self.held is not None:
            data = self.held + data
            self.held = None
            p = PyBytes_AS_STRING(data)
            n = PyBytes_GET_SIZE(data)
        while at < n:
            if self.state == ANSWER_HEAD:
                used = self.read_head(data, p + at, n - at)
                if self.state == ANSWER_BROKEN:
                    return 0
                if used < 0:
                    if n - at > self.max_head:
                        self.result.head_owner = data
                        return self.too_large("its header block is too large")
                    self.held = data if at == 0 else data[at:]
                    return 0
                at += used
                # The usual case: the whole body came with the head, so it is a slice and not a copy.
                if self.state == ANSWER_LENGTH and n - at >= self.left:
                    self.result.body_owner = data
                    self.result.body = p + at
                    self.result.body_len = self.left
                    at += self.left
                    self.body = None
                    self.state = ANSWER_DONE
                elif self.state == ANSWER_LENGTH:
                    self.body = PyBytes_FromStringAndSize(NULL, self.left)
                    self.filled = 0
            elif self.state == ANSWER_LENGTH:
                k = self.left if self.left < n - at else n - at
                memcpy(PyBytes_AS_STRING(self.body) + self.filled, p + at, k)
                self.filled += k
                self.left -= k
                at += k
                if self.left == 0:
                    self.done()
            elif self.state == ANSWER_CHUNK_DATA:
                k = self.left if self.left < n - at else n - at
                if self.gather(p + at, k):
                    return 0
                self.left -= k
                at += k
                if self.left == 0:
                    self.state = ANSWER_CHUNK_END
            elif self.state == ANSWER_UNTIL_CLOSE:
                return self.gather(p + at, n - at)
            elif self.state == ANSWER_DONE or self.state == ANSWER_BROKEN:
                self.keep_alive = False
                return 0
            else:
                used = self.read_line(data, p + at, n - at)
                if self.state == ANSWER_BROKEN:
                    return 0
                if used < 0:
                    if n - at > MAX_CHUNK_LINE:
                        return self.broken("its chunked body is malformed")
                    self.held = data if at == 0 else data[at:]
                    return 0
                at += used
        return 0

    cdef int eof(self) except -1:
        """The server closed. Ends a body that lasts until then; breaks any other."""
        self.keep_alive = False
        if self.state == ANSWER_UNTIL_CLOSE:
            return self.done()
        if self.state != ANSWER_DONE and self.state != ANSWER_BROKEN:
            if self.begun:
                return self.broken("it closed the connection in the middle of its answer")
            return self.broken("it closed the connection without an answer")
        return 0

    cdef int lost(self) except -1:
        """The connection broke, or nobody has said that it ends: whatever was being read is not whole (RFC 9112 8)."""
        if self.state == ANSWER_UNTIL_CLOSE:
            return self.broken("it closed the connection in the middle of its answer")
        return self.eof()

    cdef int gather(self, const char* p, Py_ssize_t n) except -1:
        if self.gathered.size + n > self.max_body:
            self.too_large("its answer is larger than allowed (max_response_bytes)")
            return 1
        self.gathered.put(p, n)
        return 0

    cdef Py_ssize_t read_line(self, bytes data, const char* p, Py_ssize_t n) except -2:
        """One line of the chunked framing; -1: not complete yet."""
        cdef const char* lf = <const char*>memchr(p, 10, n)
        cdef Py_ssize_t length, i, digits
        cdef size_t size = 0
        cdef int digit
        cdef char c
        if lf == NULL:
            return -1
        length = lf - p
        if length and p[length - 1] == 13:
            length -= 1
        if self.state == ANSWER_CHUNK_END:
            if length:
                self.broken("its chunked body is malformed")
            self.state = ANSWER_CHUNK_SIZE if self.state == ANSWER_CHUNK_END else self.state
        elif self.state == ANSWER_TRAILERS:
            self.trailer_bytes += length
            if self.trailer_bytes > self.max_head:
                self.broken("its trailers are too large")
            elif length == 0:
                self.done()
        else:
            i = 0
            while i < length:
                c = p[i]
                if 48 <= c <= 57:
                    digit = c - 48
                elif 65 <= c <= 70:
                    digit = c - 55
                elif 97 <= c <= 102:
                    digit = c - 87
                else:
                    break
                if i >= 15:
                    self.broken("its chunked body is malformed")
                    return 0
                size = size * 16 + digit
                i += 1
            # Chunk extensions are ignored (7.1.1); anything else behind the size is not a chunk line.
            digits = i
            while i < length and (p[i] == 32 or p[i] == 9):
                i += 1
            if digits == 0 or (i < length and p[i] != 59):
                self.broken("its chunked body is malformed")
                return 0
            if size == 0:
                self.state = ANSWER_TRAILERS
            else:
                self.left = <Py_ssize_t>size
                self.state = ANSWER_CHUNK_DATA
        return lf - p + 1

    cdef Py_ssize_t read_head(self, bytes data, const char* p, Py_ssize_t n) except -2:
        """Reads the head that starts at p; returns its length, or -1 when it is not complete."""
        cdef Result result = self.result
        cdef const char* end = p + n
        cdef const char* line = p
        cdef const char* lf
        cdef const char* stop
        cdef const char* colon
        cdef const char* value
        cdef const char* c
        cdef int status, minor
        cdef bint chunked = False, has_length = False, closing = False, keep = False, coded = False
        cdef bint names = False           # Connection may name further hop-by-hop fields
        cdef bint crowded = False         # more fields than there is room for
        cdef HeaderSlice* slot
        cdef Py_ssize_t length = 0, parsed, k
        # RFC 9112 2.2: an empty line before the status line is ignored.
        while line < end and (line[0] == 13 or line[0] == 10):
            line += 1
        if end - line < 13:
            k = end - line if end - line < 7 else 7
            if k and strncasecmp(line, "HTTP/1.", k) != 0:
                self.broken("it did not answer with HTTP/1.1")
            return -1
        if strncasecmp(line, "HTTP/1.", 7) != 0 or not 48 <= line[7] <= 57 or line[8] != 32:
            self.broken("it did not answer with HTTP/1.1")
            return 0
        minor = line[7] - 48
        if not (48 <= line[9] <= 57 and 48 <= line[10] <= 57 and 48 <= line[11] <= 57) or \
                (line[12] != 32 and line[12] != 13 and line[12] != 10):
            self.broken("its status line is malformed")
            return 0
        status = (line[9] - 48) * 100 + (line[10] - 48) * 10 + (line[11] - 48)
        if status < 100 or status > 599:
            self.broken("its status is out of range")
            return 0
        lf = <const char*>memchr(line, 10, end - line)
        if lf == NULL:
            return -1
        result.status = status
        result.header_count = 0
        line = lf + 1
        while True:
            lf = <const char*>memchr(line, 10, end - line) if line < end else NULL
            if lf == NULL:
                return -1
            stop = lf
            if stop > line and (stop - 1)[0] == 13:
                stop -= 1
            if stop == line:
                break
            if lf + 1 - p > self.max_head:
                result.head_owner = data
                self.too_large("its header block is too large")
                return 0
            c = line
            while c < stop and TCHAR[<uint8_t>c[0]]:
                c += 1
            if c == line or c == stop or c[0] != 58:
                self.broken("a header line of its answer is malformed")
                return 0
            colon = c
            value = colon + 1
            while value < stop and (value[0] == 32 or value[0] == 9):
                value += 1
            while stop > value and ((stop - 1)[0] == 32 or (stop - 1)[0] == 9):
                stop -= 1
            if not valid_value(value, stop - value):
                self.broken("a header value of its answer has a control character")
                return 0
            crowded = crowded or result.header_count == MAX_RESULT_HEADERS
            slot = result.add_header_or_replace(line, <int>(colon - line), value, <int>(stop - value))
            if slot == NULL:
                if header_kind(line, <int>(colon - line)) == KIND_HOP:
                    self.broken("its answer has too many headers")      # this one may tell how long the body is
                    return 0
            elif slot.kind == KIND_HOP:
                k = colon - line
                if k == 14 and strncasecmp(line, "content-length", 14) == 0:
                    parsed = 0
                    if value == stop or stop - value > 18:
                        parsed = -1
                    c = value
                    while c < stop and parsed >= 0:
                        parsed = parsed * 10 + (c[0] - 48) if 48 <= c[0] <= 57 else -1
                        c += 1
                    if parsed < 0 or (has_length and parsed != length):
                        self.broken("its Content-Length is malformed")
                        return 0
                    has_length = True
                    length = parsed
                elif k == 17 and strncasecmp(line, "transfer-encoding", 17) == 0:
                    if chunked or coded:
                        coded = True
                    elif stop - value == 7 and strncasecmp(value, "chunked", 7) == 0:
                        chunked = True
                    else:
                        coded = True
                elif k == 10 and strncasecmp(line, "connection", 10) == 0:
                    closing = closing or has_token(value, stop - value, "close", 5)
                    keep = keep or has_token(value, stop - value, "keep-alive", 10)
                    names = names or not (stop - value == 5 and closing or stop - value == 10 and keep)
            line = lf + 1
        if lf + 1 - p > self.max_head:
            result.head_owner = data
            self.too_large("its header block is too large")
            return 0
        if status < 200:
            # RFC 9110 15.2: interim answers are skipped, any number of them within the bound of a head.
            self.interim_bytes += lf + 1 - p
            if status == 101:
                self.broken("it switched protocols, which was not asked for")
            elif self.interim_bytes > self.max_head:
                self.broken("its interim answers (1xx) are too large together (max_header_bytes)")
            return lf + 1 - p
        if coded:
            self.broken("it used a transfer coding that was not asked for")
            return 0
        # RFC 9112 6.1: chunked of a 1.0 server, or beside a length, is read but not trusted for a next answer.
        if closing or (minor == 0 and not keep) or (chunked and (has_length or minor == 0)):
            self.keep_alive = False
        if end - lf > BEHIND and (chunked or not has_length or length > end - lf - 1):
            # The body is put together elsewhere: what came of it with the head would be held twice.
            data = p[:lf + 1 - p]
            result.move_headers(p, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        result.head_owner = data
        if names:
            drop_named(result)
        if crowded:
            result.add_note(b"headers left out: there are too many")
        if self.no_body or status == 204 or status == 304:
            if chunked or (has_length and length):
                # GW-15: a server that sends the body all the same would have it taken for its next answer.
                self.keep_alive = False
            self.state = ANSWER_DONE
        else:
            self.begin_body(chunked, has_length, length)
        return lf + 1 - p

    cdef int begin_body(self, bint chunked, bint has_length, Py_ssize_t length) except -1:
        """RFC 9112 6.3: how long the body is."""
        if chunked:
            self.gathered = Buffer()
            self.state = ANSWER_CHUNK_SIZE
        elif has_length:
            if length > self.max_body:
                return self.too_large("its answer is larger than allowed (max_response_bytes)")
            self.left = length
            if length:
                self.state = ANSWER_LENGTH
            else:
                self.body = b""
                self.done()
        else:
            self.keep_alive = False
            self.gathered = Buffer()
            self.state = ANSWER_UNTIL_CLOSE
        return 0

    def read(self, list chunks, bint close=False, bint no_body=False):
        """Feeds chunks to a fresh answer and describes what came of it: for tests and fuzzing."""
        self.start(no_body)
        for chunk in chunks:
            self.feed(chunk)
        if close:
            self.eof()
        cdef int i
        cdef list headers = []
        if self.state == ANSWER_DONE:
            for i in range(self.result.header_count):
                headers.append((
                    self.result.headers[i].name[:self.result.headers[i].name_len],
                    self.result.headers[i].value[:self.result.headers[i].value_len],
                ))
        return {
            "state": {ANSWER_DONE: "done", ANSWER_BROKEN: "broken"}.get(self.state, "waiting"),
            "why": self.why,
            "status": self.result.status,
            "headers": headers,
            "body": None if self.result.body_owner is None else self.result.body[:self.result.body_len],
            "keep_alive": self.keep_alive,
        }
