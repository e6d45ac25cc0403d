"""gRPC's length-prefixed messages: flag, four bytes of length, message.

Any split of the bytes gives the same messages. Must never know a stream, nor what is in a message.
"""
from batchwire.core.errors import EnvelopeError
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy

cdef enum:
    PREFIX = 5

cdef const char* NONE = b"\0\0\0\0\0"    # the prefix of an empty message


cdef int put_prefix(char* p, Py_ssize_t n) noexcept nogil:
    """The prefix of an uncompressed message of n bytes; its size."""
    p[0] = 0
    p[1] = <char>(n >> 24 & 0xff)
    p[2] = <char>(n >> 16 & 0xff)
    p[3] = <char>(n >> 8 & 0xff)
    p[4] = <char>(n & 0xff)
    return PREFIX


cdef Py_ssize_t empty_messages(const char* p, Py_ssize_t n) noexcept nogil:
    """Bytes of the messages at p that are empty and not compressed: ten thousand may come in one read (PL-01)."""
    cdef Py_ssize_t at = 0
    while n - at >= PREFIX and memcmp(p + at, NONE, PREFIX) == 0:
        at += PREFIX
    return at


cdef class MessageReader:
    """limit: bytes of the longest message taken."""

    def __init__(self, Py_ssize_t limit):
        self.limit = limit

    cdef bint partial(self) noexcept:
        """Whether a message has begun and not ended."""
        return self.head_size != 0

    @property
    def unfinished(self):
        """Whether a message has begun and not ended."""
        return self.partial()

    @property
    def unfinished_bytes(self):
        """What is kept of a message that has not ended."""
        return 0 if self.body is None else self.filled

    cdef Py_ssize_t read(self, const char* p, Py_ssize_t n, bint* complete) except -1:
        """Reads up to the end of one message; how many bytes were used. complete: `message` holds one."""
        cdef Py_ssize_t used = 0, part, size
        cdef const uint8_t* head = <const uint8_t*>self.head
        complete[0] = False
        while self.head_size < PREFIX:
            if used == n:
                return used
            self.head[self.head_size] = p[used]
            self.head_size += 1
            used += 1
        if self.body is None:
            size = <Py_ssize_t>head[1] << 24 | <Py_ssize_t>head[2] << 16 | <Py_ssize_t>head[3] << 8 | head[4]
            if head[0] > 1:
                raise EnvelopeError(400, "BadMessage", "the message has an unknown flag")
            if size > self.limit:
                raise EnvelopeError(
                    413, "MessageTooLarge",
                    f"a message of {size} bytes is larger than limits.grpc_max_message_bytes ({self.limit} bytes)")
            # The kernel gives memory as it is written to, so a length that lies costs nothing.
            self.body = PyBytes_FromStringAndSize(NULL, size)
            self.filled = 0
        size = PyBytes_GET_SIZE(self.body)
        part = min(n - used, size - self.filled)
        memcpy(PyBytes_AS_STRING(self.body) + self.filled, p + used, part)
        self.filled += part
        used += part
        if self.filled == size:
            self.message = self.body
            self.compressed = head[0] == 1
            self.body = None
            self.head_size = 0
            complete[0] = True
        return used

    def feed(self, bytes data not None):
        """The messages that end in `data`, as [(compressed, bytes)]. Raises EnvelopeError."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data), at = 0
        cdef bint complete = False
        found = []
        while True:
            at += self.read(p + at, n - at, &complete)
            if not complete:
                return found
            found.append((self.compressed, self.message))
            self.message = None
