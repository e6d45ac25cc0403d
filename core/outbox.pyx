"""Results written and not yet taken by the front. Must never split a result between two chunks.

A chunk is one gRPC message, so it holds as many results as are ready; CHUNK bounds it.
"""
from batchwire.core.model cimport Buffer

from collections import deque

cdef enum:
    CHUNK = 131072


cdef class Outbox:
    def __init__(self):
        self.tail = Buffer()
        self.chunks = deque()

    cdef int added(self, Py_ssize_t n) except -1:
        """n bytes, a whole result, were appended to `tail`."""
        self.held += n
        if self.tail.size >= CHUNK:
            self.chunks.append(self.tail.take())
        return 0

    cdef bytes take(self):
        cdef bytes chunk
        if self.chunks:
            chunk = self.chunks.popleft()
        elif self.tail.size:
            chunk = self.tail.take()
        else:
            return None
        self.held -= len(chunk)
        self.taken += len(chunk)
        return chunk
