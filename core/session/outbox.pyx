"""Results written and not yet taken by the front.

A chunk is one gRPC message, so it holds as many results as are ready; CHUNK bounds it. A message costs as much as
ten calls (docs/architecture.md), so results that are near travel together. Large results make no large chunks (AN-06,
AN-07): a document is cut anywhere, into PIECEs; protobuf between two fields, so that no field is ever split. A message
with a large body is a list of its pieces (PL-01); the one message of Execute is all chunks together.
"""
from batchwire.core.dialects.wire cimport Field, next_field
from batchwire.core.model cimport KEPT_BYTES, Buffer
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport realloc

from collections import deque

cdef enum:
    CHUNK = 131072
    PIECE = 1047552           # 1 MiB less what an HttpBody has besides its data

LINGER = 0.004            # seconds that results wait for those that are near
cdef double NEAR = 0.0002  # seconds between results below which the next one is near


cdef Py_ssize_t size_of(list written) except -1:
    cdef Py_ssize_t size = 0
    for piece in written:
        size += size_of(piece) if type(piece) is list else PyBytes_GET_SIZE(piece)
    return size


cdef class Outbox:
    @staticmethod
    cdef Outbox of(double began):
        """began: when the batch began, seconds of the monotonic clock."""
        cdef Outbox made = Outbox.__new__(Outbox)
        made.tail = Buffer()
        made.enough = CHUNK
        made.last_added = began
        made.last_taken = began - LINGER
        made.gap = -1
        return made

    cdef int bound(self, Py_ssize_t max_message) except -1:
        """Chunks are protobuf messages of at most so many bytes, as far as their fields are."""
        self.max_message = max_message
        self.enough = min(max_message, <Py_ssize_t>CHUNK)
        return 0

    cdef int added(self, Py_ssize_t n) except -1:
        """n bytes, a whole result, were appended to `tail`."""
        self.held += n
        if self.tail.size >= self.enough:
            if (self.splits and self.tail.size > PIECE) or 0 < self.max_message < self.tail.size:
                self.cut()
            else:
                self.push(self.tail.take())
            if len(self.chunks) > 1:
                self.tail.clear()         # it is empty; the client is behind, and may be for long
        return 0

    cdef int put(self, list written) except -1:
        """Adds a whole result that is in pieces; those that are large become chunks as they are, and so do lists, which
        are messages."""
        for piece in written:
            if self.is_chunk(piece):
                if self.tail.size:
                    self.push(self.tail.take())
                self.push(piece)
                self.held += size_of([piece])
            else:
                self.tail.put_bytes(piece)
                self.added(len(piece))
        return 0

    cdef bint is_chunk(self, object piece) except -1:
        if type(piece) is list:
            return True
        if PyBytes_GET_SIZE(piece) < CHUNK:
            return False
        return self.one_message or (self.splits and PyBytes_GET_SIZE(piece) <= PIECE)

    cdef int push(self, object chunk) except -1:
        """chunk: bytes, or a list of bytes."""
        if self.chunks is None:
            self.chunks = deque()
        self.chunks.append(chunk)
        return 0

    cdef int clear(self) except -1:
        """Nobody will take what is there."""
        self.chunks = None
        self.tail.clear()
        self.held = 0
        return 0

    cdef int cut(self) except -1:
        """Makes several chunks of the tail."""
        cdef const char* p = self.tail.data
        cdef const char* end = p + self.tail.size
        cdef const char* start = p
        cdef const char* before
        cdef Field field
        if self.splits:
            return self.cut_document()
        while p < end:
            before = p
            p = next_field(p, end, &field)
            if p - start > self.max_message and before > start:
                self.push(PyBytes_FromStringAndSize(start, before - start))
                start = before
        self.push(PyBytes_FromStringAndSize(start, end - start))
        self.tail.size = 0
        if self.tail.capacity > KEPT_BYTES:
            self.tail.clear()
        return 0

    cdef int cut_document(self) except -1:
        """From its end, so that what is in pieces is not held twice."""
        cdef Py_ssize_t n = (self.tail.size + PIECE - 1) // PIECE, at
        cdef list pieces = []
        cdef char* data
        while n > 0:
            n -= 1
            at = n * PIECE
            pieces.append(PyBytes_FromStringAndSize(self.tail.data + at, self.tail.size - at))
            self.tail.size = at
            if self.tail.capacity > KEPT_BYTES and at > 0:
                data = <char*>realloc(self.tail.data, at)
                if data != NULL:
                    self.tail.data = data
                    self.tail.capacity = at
        if self.tail.capacity > KEPT_BYTES:
            self.tail.clear()
        for piece in reversed(pieces):
            self.push(piece)
        return 0

    cdef double wait_for_more(self, double t, int running) noexcept:
        """Seconds that the result which was just added should wait for others; 0: send it now.

        A lone result goes at once. While others are near, and for LINGER after a chunk went, it waits: so a pause
        among many results does not make small messages of them.
        """
        cdef double since = t - self.last_added
        if self.gap < 0:
            # Nothing is known but how long the first took: `running` others began with it.
            self.gap = since / (1 + running)
        else:
            self.gap += (since - self.gap) * 0.25
        self.last_added = t
        if self.chunks:
            return 0
        since = t - self.last_taken
        if since >= LINGER:
            return LINGER if self.gap <= NEAR else 0
        return LINGER - since

    cdef object take(self):
        """A chunk: bytes, a list of bytes, or None."""
        cdef object chunk
        cdef Py_ssize_t size
        if self.chunks:
            chunk = self.chunks.popleft()
        elif self.tail.size:
            chunk = self.tail.take()
        else:
            return None
        size = PyBytes_GET_SIZE(chunk) if type(chunk) is bytes else size_of(chunk)
        self.held -= size
        self.taken += size
        return chunk
