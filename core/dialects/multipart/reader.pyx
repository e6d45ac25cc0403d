"""The multipart batch document, read from bytes in any split (MB-01..MB-21, GW-07; section 2 of the contract).

Gives out each call as soon as the delimiter after its part has come. Holds no more than one part, and what lies
outside the parts not at all. Every byte is looked at once, however the document is cut. A body that lies whole
in one chunk is not copied. Must never take a document for complete whose close delimiter is missing: atomic
sets could be cut in half.
"""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dialects.multipart.lines cimport (
    DELIMITER_NONE,
    DELIMITER_OPEN,
    LONGEST_DELIMITER,
    Delimiter,
    delimiter_of,
)
from batchwire.core.dialects.multipart.part cimport (
    FLAVOUR_DOCUMENT,
    FLAVOUR_GOOGLE,
    FLAVOUR_ODATA,
    PART_HTTP,
    PART_MULTIPART,
    PartBuilder,
)
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memchr

import secrets
from collections import deque

from batchwire.core.dialects.multipart.boundaries import parse_boundary
from batchwire.core.errors import ConfigError, EnvelopeError

FLAVOURS = {"odata": FLAVOUR_ODATA, "document": FLAVOUR_DOCUMENT, "google": FLAVOUR_GOOGLE}

cdef enum Place:              # where in the document the next line lies
    BETWEEN = 0               # outside of the parts: preamble, or what follows a change set
    IN_HEAD = 1               # the headers of a part
    IN_BODY = 2               # what follows them
    CLOSED = 3                # the epilogue
    BARE = 4                  # the document is one message


cdef class MultipartReader(Reader):
    """Reader of multipart batches.

    boundary: of the document; None: the document is one bare message, as the content of an application/http
    part (document flavour). flavour: "odata", "document" (ids in RequestId, order in DependsOn) or "google"
    (opaque Content-IDs). authority: (scheme, host[:port]) of the batch URL, or several; None: a Host is not compared.
    max_call_bytes: most bytes of one part; 0: no limit. A longer one breaks the batch with 413. max_header_bytes:
    of a part's headers, and of its call's. block: screens the header lines; None: by default. strict: parts of a
    change set need a Content-ID (ID-04).

    The calls of a change set have a group whose name is made up here and cannot meet an id of the client. For a change
    set without parts stands a Call that is none (PL-10). Change sets do not nest (MB-21).
    """
    cdef object chunks                # deque of bytes not begun
    cdef bytes chunk                  # the bytes being read
    cdef Py_ssize_t start             # in chunk: where what is kept of it begins
    cdef Py_ssize_t at                # in chunk: what has been looked at
    cdef Py_ssize_t size
    cdef Py_ssize_t waiting           # bytes in chunks
    cdef Buffer partial               # what is kept of earlier chunks: the text before start
    cdef Py_ssize_t line              # in the kept text: where the line being read begins
    cdef Py_ssize_t content           # in the kept text: what follows the part's headers
    cdef bint hopeless                # the line being read is too long for a delimiter, and not kept
    cdef bint finished
    cdef bint opened                  # a part has been begun
    cdef int place
    cdef bytes boundary
    cdef bytes inner                  # boundary of the change set that is open, or None
    cdef bint inner_closed
    cdef bint inner_empty             # no part of it has been begun
    cdef bytes prefix
    cdef uint64_t sets
    cdef bytes group
    cdef int flavour
    cdef Py_ssize_t max_call_bytes
    cdef Py_ssize_t max_header_bytes
    cdef PartBuilder builder
    cdef object failure

    def __init__(self, bytes boundary, *, str flavour="odata", authority=None, Py_ssize_t max_call_bytes=16777216,
                 Py_ssize_t max_header_bytes=32768, HeaderBlock block=None, bint strict=False):
        if flavour not in FLAVOURS:
            raise ConfigError(f"the flavour of a multipart batch must be one of {', '.join(FLAVOURS)}")
        if boundary is not None and not 1 <= len(boundary) <= 70:
            raise ConfigError("a boundary must have 1 to 70 characters")
        if boundary is None and flavour != "document":
            raise ConfigError("only the document flavour has batches of one bare message")
        self.chunks = deque()
        self.chunk = b""
        self.partial = Buffer()
        self.boundary = boundary
        self.place = BARE if boundary is None else BETWEEN
        self.flavour = FLAVOURS[flavour]
        self.sequential = self.silent_stop = self.flavour == FLAVOUR_ODATA          # MP-01, MP-09
        self.result_of = self.flavour == FLAVOUR_DOCUMENT
        self.plain = self.flavour != FLAVOUR_ODATA
        self.prefix = f"cs-{secrets.token_hex(16)}-".encode()
        self.max_call_bytes = max_call_bytes
        self.max_header_bytes = max_header_bytes
        self.builder = PartBuilder(
            self.flavour, strict, authority, max_header_bytes,
            HeaderBlock(False, max_header_bytes, None, "drop" if flavour == "google" else "reject")
            if block is None else block)

    cdef int feed(self, bytes data) except -1:
        if PyBytes_GET_SIZE(data):
            self.chunks.append(data)
            self.waiting += PyBytes_GET_SIZE(data)
        return 0

    cdef int finish(self) except -1:
        self.finished = True
        return 0

    cdef Py_ssize_t buffered(self) noexcept:
        return self.waiting + self.size - self.start + self.partial.size

    def held_bytes(self):
        """buffered() for tests and tools."""
        return self.buffered()

    cdef Call next_call(self):
        cdef Call call
        if self.failure is not None:
            raise self.failure
        while not self.ended:
            if self.at < self.size:
                call = self.advance()
            else:
                self.keep_rest()
                if self.chunks:
                    self.chunk = self.chunks.popleft()
                    self.size = PyBytes_GET_SIZE(self.chunk)
                    self.waiting -= self.size
                    continue
                if not self.finished:
                    return None
                call = self.read_end()
            if call is not None:
                self.calls += 1
                return call
        return None

    cdef Call advance(self):
        """Reads on in the chunk until a call is complete; None: the chunk is used up."""
        cdef const char* p = PyBytes_AS_STRING(self.chunk)
        cdef const char* q
        cdef const char* stop
        cdef Py_ssize_t n
        cdef Call call
        if self.place == BARE:
            self.at = self.size
            return None
        while self.at < self.size:
            stop = <const char*>memchr(p + self.at, c'\n', self.size - self.at)
            if stop == NULL:
                self.at = self.size
                break
            self.at = stop + 1 - p
            if self.hopeless:
                self.hopeless = False
                self.drop()
                continue
            if self.line < self.partial.size:
                # The line began in an earlier chunk: its rest joins it.
                self.partial.put(p + self.start, self.at - self.start)
                self.start = self.at
                q = self.partial.data + self.line
                n = self.partial.size - self.line - 1
            else:
                q = p + self.start + (self.line - self.partial.size)
                n = stop - q
            if self.place == IN_BODY and (n < 2 or q[0] != c'-' or q[1] != c'-'):
                self.line = self.partial.size + self.at - self.start
                continue
            call = self.read_line(q, n)
            if call is not None:
                return call
        return None

    cdef Call read_line(self, const char* q, Py_ssize_t n):
        """One line, without its line feed; the reading position is behind it already."""
        cdef Delimiter found = DELIMITER_NONE
        cdef Call call = None
        if self.place == CLOSED:
            self.drop()
            return None
        if n and q[n - 1] == c'\r':
            n -= 1
        if n and q[0] == c'-':
            # The outer one first: it counts at every level (RFC 2046 5.1.2).
            found = delimiter_of(q, n, PyBytes_AS_STRING(self.boundary), PyBytes_GET_SIZE(self.boundary))
            if found != DELIMITER_NONE:
                if self.inner is not None and not self.inner_closed:
                    self.fail_unclosed("a change set", self.inner, not self.inner_empty)
                if self.inner is None and self.place != BETWEEN:
                    call = self.complete()
                self.inner = None
                self.group = None
            elif self.inner is not None and not self.inner_closed:
                found = delimiter_of(q, n, PyBytes_AS_STRING(self.inner), PyBytes_GET_SIZE(self.inner))
                if found != DELIMITER_NONE and self.place != BETWEEN:
                    call = self.complete()
        if found != DELIMITER_NONE:
            self.drop()
            if found == DELIMITER_OPEN:
                self.opened = True
                self.inner_empty = False
                self.place = IN_HEAD
                self.content = 0
                self.builder.begin()
            elif self.inner is None:
                self.place = CLOSED
            else:
                self.inner_closed = True
                self.place = BETWEEN
                if self.inner_empty:
                    call = Call.__new__(Call)
                    call.group = self.group
                    call.empty_set = True
            return call
        if self.place == BETWEEN:
            self.drop()
            return None
        self.line = self.partial.size + self.at - self.start
        if self.place == IN_HEAD:
            if self.line > self.max_header_bytes:
                self.fail_head()
            if n == 0:
                self.end_head()
        return None

    cdef int end_head(self) except -1:
        """The empty line after a part's headers: only now is it known what the part is."""
        self.read_mime()
        self.content = self.line
        self.place = IN_BODY
        if self.inner is None and self.flavour == FLAVOUR_ODATA and self.builder.kind == PART_MULTIPART \
                and self.builder.plain:
            try:
                self.inner = parse_boundary(self.builder.media.decode("latin-1"))
            except EnvelopeError as error:
                self.fail(error.status, error.code, error.message)
            if self.inner == self.boundary:
                self.fail(400, "BadBoundary", "a change set has the boundary of the batch")
            self.inner_closed = False
            self.inner_empty = True
            self.group = self.prefix + str(self.sets).encode()
            self.sets += 1
            self.place = BETWEEN
            self.drop()
        return 0

    cdef int read_mime(self) except -1:
        """All that is kept, up to the reading position, are the headers of a part."""
        cdef const char* p
        if self.partial.size == 0:
            p = PyBytes_AS_STRING(self.chunk) + self.start
        else:
            self.partial.put(PyBytes_AS_STRING(self.chunk) + self.start, self.at - self.start)
            self.start = self.at
            p = self.partial.data
        return self.builder.read_mime(p, p + self.line)

    cdef Call complete(self):
        """The call of the part that ends where the line being read begins."""
        cdef object owner = self.chunk
        cdef const char* p = PyBytes_AS_STRING(self.chunk) + self.start
        cdef Py_ssize_t n = self.line
        if self.partial.size:
            if n > self.partial.size:
                self.partial.put(p, n - self.partial.size)
            owner = self.partial.take()
            p = PyBytes_AS_STRING(owner)
        if self.max_call_bytes and n > self.max_call_bytes:
            self.fail_size()
        if self.place == IN_HEAD:
            self.builder.read_mime(p, p + n)
            self.content = n
        # The line end before a delimiter is the delimiter's (MB-13).
        if n > self.content and p[n - 1] == c'\n':
            n -= 1
            if n > self.content and p[n - 1] == c'\r':
                n -= 1
                self.builder.cr_follows = True
        try:
            return self.builder.build(owner, p + self.content, p + n, self.group, self.calls)
        except EnvelopeError as error:
            self.failure = error
            raise

    cdef int drop(self) except -1:
        """Lets go of the text up to the reading position."""
        self.partial.size = 0
        self.start = self.at
        self.line = 0
        return 0

    cdef int keep_rest(self) except -1:
        """The chunk is used up: moves what is still needed of it."""
        cdef Py_ssize_t kept = self.partial.size + self.size - self.start
        if self.place == BETWEEN or self.place == CLOSED:
            self.hopeless = self.hopeless or kept > LONGEST_DELIMITER
        elif self.place == IN_HEAD and kept > self.max_header_bytes + LONGEST_DELIMITER:
            self.fail_head()
        elif self.max_call_bytes and self.place != IN_HEAD and kept > self.max_call_bytes + (
                0 if self.place == BARE else LONGEST_DELIMITER):
            self.fail_size()
        if self.hopeless:
            self.partial.size = 0
        else:
            self.partial.put(PyBytes_AS_STRING(self.chunk) + self.start, self.size - self.start)
        self.chunk = b""
        self.start = self.at = self.size = 0
        return 0

    cdef Call read_end(self):
        """No more bytes come. The last line may lack its line end."""
        cdef Call call = None
        cdef bytes text
        cdef const char* p
        if self.place == BARE:
            text = self.partial.take()
            p = PyBytes_AS_STRING(text)
            self.place = CLOSED
            self.builder.kind = PART_HTTP
            try:
                return self.builder.build(text, p, p + PyBytes_GET_SIZE(text), None, 0)
            except EnvelopeError as error:
                self.failure = error
                raise
        if self.line < self.partial.size and self.place != CLOSED:
            call = self.read_line(self.partial.data + self.line, self.partial.size - self.line)
        if self.place != CLOSED:
            if self.inner is not None and not self.inner_closed:
                self.fail_unclosed("a change set", self.inner, not self.inner_empty)
            self.fail_unclosed("the batch", self.boundary, self.opened)
        if call is None:
            self.ended = True
        return call

    cdef int fail_head(self) except -1:
        return self.fail(
            400, "HeadersTooLarge",
            f"the headers of a part are larger than limits.max_header_bytes ({self.max_header_bytes} bytes)")

    cdef int fail_size(self) except -1:
        return self.fail(
            413, "CallTooLarge", f"a part is larger than limits.max_call_bytes ({self.max_call_bytes} bytes)",
            f"requests[{self.calls}]")

    cdef int fail_unclosed(self, str what, bytes boundary, bint opened) except -1:
        """opened: whether a delimiter with this boundary has come."""
        cdef str line = "--" + boundary.decode()
        if opened:
            return self.fail(400, "BatchTruncated", f"{what} ends without its close delimiter, the line {line}--",
                             f"requests[{self.calls}]")
        return self.fail(400, "BatchTruncated", f"{what} has no line {line}, of the boundary that its content-type names")

    cdef int fail(self, int status, str code, str message, str target="") except -1:
        self.failure = EnvelopeError(status, code, message, target)
        raise self.failure
