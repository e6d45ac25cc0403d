"""The JSON batch document, read from bytes in any split: {"requests":[{...},...], ...} (JB-01..JB-28).

Gives out each call as soon as its object closes. Holds no more of the document than the bytes of the one
request object that lies across chunks; members of the envelope that it does not know are passed over without
being kept. Every byte is scanned once, however the document is cut. Must never look into a request object
beyond its end: what its members mean is CallBuilder's business.
"""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dialects.json_call cimport CallBuilder
from batchwire.core.dialects.json_scan cimport (
    ERROR_DEPTH,
    ERROR_MEMBERS,
    MAX_DEPTH,
    SCAN_BAD,
    SCAN_DONE,
    Mark,
    Scan,
    scan,
    scan_message,
    scan_start,
)
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t

from collections import deque

from batchwire.core.errors import ConfigError, EnvelopeError

cdef enum:
    MAX_MEMBERS = 64          # of one request object, known and unknown
    MAX_NAME = 48             # bytes of "requests" with each letter escaped; a longer name is another one

cdef enum Place:              # where in the envelope the next byte lies
    AT_MARK = 0               # perhaps in a byte order mark
    AT_OPEN = 1
    AT_NAME_OR_END = 2
    AT_NAME = 3
    IN_NAME = 4
    AT_COLON = 5
    AT_VALUE = 6
    IN_VALUE = 7              # of a member that is passed over
    AT_LIST = 8               # the value of `requests` begins
    AT_CALL_OR_END = 9
    AT_CALL = 10
    IN_CALL = 11
    AFTER_CALL = 12
    AFTER_MEMBER = 13
    AT_TRAILER = 14           # the document is closed

cdef const uint8_t* BYTE_ORDER_MARK = b"\xef\xbb\xbf"


cdef class JsonReader(Reader):
    """Reader of JSON batches.

    max_call_bytes: most bytes of one request object, and of a body after JB-27's decoding; 0: no limit. A longer
    object breaks the batch with 413. max_depth: most containers open at once, the document's own two included
    (3..1024); deeper nesting, also inside a body, breaks the batch with 400. max_header_bytes: of one call's
    header lines. integer_ids: of the compatible profile: take them for strings (JB-08), opaque ids (PL-09) and methods
    that JB-07 does not name (CL-03). block: screens the header lines; None: by default. A request object may have 64
    members.
    """
    cdef object chunks                # deque of bytes not begun
    cdef bytes chunk                  # the bytes being read
    cdef Py_ssize_t at
    cdef Py_ssize_t size
    cdef Py_ssize_t waiting           # bytes in chunks
    cdef uint64_t before              # bytes of the document before chunk
    cdef Buffer partial               # what has been read of a request object that began in an earlier chunk
    cdef bint finished
    cdef int place
    cdef int mark_bytes
    cdef bint name_is_requests
    cdef bint seen_requests
    cdef uint64_t number              # of the request object being read
    cdef Py_ssize_t max_call_bytes
    cdef int max_depth
    cdef CallBuilder builder
    cdef object failure
    cdef Scan state
    cdef Mark[MAX_MEMBERS] marks

    def __init__(self, Py_ssize_t max_call_bytes=16777216, int max_depth=64, Py_ssize_t max_header_bytes=32768,
                 bint integer_ids=True, HeaderBlock block=None):
        if not 3 <= max_depth <= MAX_DEPTH:
            raise ConfigError(f"the nesting limit of JSON must be from 3 to {MAX_DEPTH}")
        self.chunks = deque()
        self.chunk = b""
        self.partial = Buffer()
        self.max_call_bytes = max_call_bytes
        self.max_depth = max_depth
        self.builder = CallBuilder(
            HeaderBlock(max_bytes=max_header_bytes) if block is None else block, max_call_bytes, integer_ids)

    cdef int feed(self, bytes data) except -1:
        if PyBytes_GET_SIZE(data):
            self.chunks.append(data)
            self.waiting += PyBytes_GET_SIZE(data)
        return 0

    cdef int finish(self) except -1:
        self.finished = True
        return 0

    cdef Py_ssize_t buffered(self) noexcept:
        return self.waiting + self.size - self.at + self.partial.size

    cdef Call next_call(self):
        cdef Call call
        if self.failure is not None:
            raise self.failure
        while True:
            if self.at < self.size:
                call = self.advance()
                if call is not None:
                    self.calls += 1
                    return call
            elif self.chunks:
                self.before += self.size
                self.chunk = self.chunks.popleft()
                self.at = 0
                self.size = PyBytes_GET_SIZE(self.chunk)
                self.waiting -= self.size
            else:
                # Let go of the bytes: calls that need them hold them.
                self.before += self.size
                self.at = self.size = 0
                self.chunk = b""
                if self.finished and not self.ended:
                    if self.place != AT_TRAILER:
                        self.fail_truncated()
                    self.ended = True
                return None

    cdef bint read_on(self, Call call) except -1:
        return self.builder.read_on(call)

    cdef Call advance(self):
        """Reads on in the chunk until a call is complete; None: the chunk is used up."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(self.chunk)
        cdef Call call
        cdef uint8_t c
        while self.at < self.size:
            c = p[self.at]
            if self.place == IN_CALL:
                call = self.read_call(p)
                if call is not None:
                    return call
            elif self.place == IN_NAME:
                self.read_name(p)
            elif self.place == IN_VALUE:
                self.run_scan(p, self.size - self.at)
                if self.state.state == SCAN_DONE:
                    self.place = AFTER_MEMBER
            elif self.place == AT_MARK:
                self.read_mark(c)
            elif c == c' ' or c == c'\n' or c == c'\r' or c == c'\t':
                self.at += 1
            elif self.place == AT_CALL or self.place == AT_CALL_OR_END:
                if c == c'{':
                    scan_start(&self.state, self.max_depth - 2, self.marks, MAX_MEMBERS)
                    self.place = IN_CALL
                elif c == c']' and self.place == AT_CALL_OR_END:
                    self.at += 1
                    self.place = AFTER_MEMBER
                elif c == c']':
                    self.fail_at("a request object is expected behind the comma")
                else:
                    self.fail("BadEnvelope", f"each element of requests must be an object, at byte {self.offset()}",
                              self.target())
            elif self.place == AFTER_CALL:
                if c == c',':
                    self.place = AT_CALL
                elif c == c']':
                    self.place = AFTER_MEMBER
                else:
                    self.fail_at("a comma is expected, or the end of requests")
                self.at += 1
            else:
                self.read_envelope(c)
        return None

    cdef int read_mark(self, uint8_t c) except -1:
        if c == BYTE_ORDER_MARK[self.mark_bytes]:
            self.mark_bytes += 1
            self.at += 1
            if self.mark_bytes == 3:
                self.place = AT_OPEN
        elif self.mark_bytes:
            self.fail_at("the text is not valid UTF-8")
        else:
            self.place = AT_OPEN
        return 0

    cdef int read_envelope(self, uint8_t c) except -1:
        """One byte of the envelope's own punctuation, not white space."""
        if self.place == AT_OPEN:
            if c != c'{':
                self.fail_at("the batch must be a JSON object with the member requests")
            self.place = AT_NAME_OR_END
            self.at += 1
        elif self.place == AT_NAME or self.place == AT_NAME_OR_END:
            if c == c'"':
                scan_start(&self.state, 0, NULL, 0)
                self.place = IN_NAME
            elif c == c'}' and self.place == AT_NAME_OR_END:
                self.close()
            elif c == c'}':
                self.fail_at("a member is expected behind the comma")
            else:
                self.fail_at("a member name in double quotes is expected")
        elif self.place == AT_COLON:
            if c != c':':
                self.fail_at("a colon is expected behind the member name")
            self.place = AT_LIST if self.name_is_requests else AT_VALUE
            self.at += 1
        elif self.place == AT_LIST:
            if c != c'[':
                self.fail("BadEnvelope", "requests must be an array", "requests")
            self.place = AT_CALL_OR_END
            self.at += 1
        elif self.place == AT_VALUE:
            scan_start(&self.state, self.max_depth - 1, NULL, 0)
            self.place = IN_VALUE
        elif self.place == AFTER_MEMBER:
            if c == c',':
                self.place = AT_NAME
                self.at += 1
            elif c == c'}':
                self.close()
            else:
                self.fail_at("a comma is expected, or the end of the batch")
        else:
            self.fail_at("bytes follow the end of the batch")
        return 0

    cdef int close(self) except -1:
        if not self.seen_requests:
            self.fail("BadEnvelope", "the batch has no member requests", "requests")
        self.place = AT_TRAILER
        self.at += 1
        return 0

    cdef int read_name(self, const uint8_t* p) except -1:
        """A member name of the envelope; of a long one only so much is kept as tells that it is another."""
        cdef Py_ssize_t start = self.at
        cdef Py_ssize_t length
        cdef bytes name
        self.run_scan(p, self.size - self.at)
        length = self.at - start
        if self.partial.size + length > MAX_NAME + 2:
            length = MAX_NAME + 3 - self.partial.size
        self.partial.put(<const char*>(p + start), length)
        if self.state.state == SCAN_DONE:
            self.name_is_requests = False
            if self.partial.size <= MAX_NAME + 2:
                name = unescaped(<const uint8_t*>self.partial.data + 1, self.partial.size - 2)
                self.name_is_requests = name == b"requests"
            self.partial.size = 0
            if self.name_is_requests:
                if self.seen_requests:
                    self.fail("DuplicateMember", "the batch has two members requests", "requests")
                self.seen_requests = True
            self.place = AT_COLON
        return 0

    cdef Call read_call(self, const uint8_t* p):
        """Reads on in a request object; the Call, if it ends in this chunk."""
        cdef Py_ssize_t start = self.at
        cdef Py_ssize_t n = self.size - start
        cdef Py_ssize_t allowed
        cdef bytes owner
        cdef Call call
        if self.max_call_bytes:
            # Independent of the split: what follows the limit is never looked at.
            allowed = self.max_call_bytes - self.partial.size
            if n > allowed:
                n = allowed
        self.run_scan(p, n)
        if self.state.state != SCAN_DONE:
            if self.at < self.size:
                self.fail(
                    "CallTooLarge",
                    f"a request object is larger than limits.max_call_bytes ({self.max_call_bytes} bytes)",
                    self.target(), 413)
            self.partial.put(<const char*>(p + start), n)
            return None
        if self.partial.size:
            self.partial.put(<const char*>(p + start), self.at - start)
            owner = self.partial.take()
            start = 0
        else:
            owner = self.chunk
        try:
            call = self.builder.build(
                owner, <const uint8_t*>PyBytes_AS_STRING(owner) + start, self.marks, self.state.mark_count, self.number)
        except EnvelopeError as error:
            self.failure = error
            raise
        self.number += 1
        self.place = AFTER_CALL
        return call

    cdef int run_scan(self, const uint8_t* p, Py_ssize_t n) except -1:
        """Scans p[at..at+n) and moves on; raises at the first wrong byte."""
        self.at += scan(&self.state, p + self.at, n)
        if self.state.state == SCAN_BAD:
            if self.state.error == ERROR_DEPTH:
                self.fail(
                    "TooDeep", f"the nesting is deeper than limits.max_depth ({self.max_depth}) at byte {self.offset()}",
                    self.target())
            if self.state.error == ERROR_MEMBERS:
                self.fail("TooManyMembers", f"a request object has more than {MAX_MEMBERS} members", self.target())
            self.fail_at(scan_message(self.state.error))
        return 0

    cdef object offset(self):
        """Of the next byte in the document."""
        return self.before + self.at

    cdef str target(self):
        """The request object that is being read, or none."""
        return f"requests[{self.number}]" if AT_CALL_OR_END <= self.place <= IN_CALL else ""

    cdef int fail_truncated(self) except -1:
        if self.place <= AT_OPEN and self.mark_bytes in (0, 3):
            return self.fail("BatchTruncated", "the body is empty: a JSON object with the member requests is expected")
        return self.fail("BatchTruncated", f"the batch ends inside the document, at byte {self.offset()}", self.target())

    cdef int fail_at(self, str message) except -1:
        return self.fail("BadJson", f"{message}, at byte {self.offset()}", self.target())

    cdef int fail(self, str code, str message, str target="", int status=400) except -1:
        """Breaks the batch: what has been read is let go, and every later call raises the same."""
        self.failure = EnvelopeError(status, code, message, target)
        self.chunks.clear()
        self.partial.clear()
        self.waiting = 0
        self.at = self.size = 0
        self.chunk = b""
        raise self.failure
