"""Results written and not yet taken by the front. Must never split a result between two chunks.

A chunk is one gRPC message, so it holds as many results as are ready; CHUNK bounds it. A message costs as much as
ten calls (docs/architecture.md), so results that are near travel together.
"""
from batchwire.core.model cimport Buffer

from collections import deque

cdef enum:
    CHUNK = 131072

LINGER = 0.004            # seconds that results wait for those that are near
cdef double NEAR = 0.0002  # seconds between results below which the next one is near


cdef class Outbox:
    """began: when the batch began, seconds of the monotonic clock."""

    def __init__(self, double began):
        self.tail = Buffer()
        self.chunks = deque()
        self.last_added = began
        self.last_taken = began - LINGER
        self.gap = -1

    cdef int added(self, Py_ssize_t n) except -1:
        """n bytes, a whole result, were appended to `tail`."""
        self.held += n
        if self.tail.size >= CHUNK:
            self.chunks.append(self.tail.take())
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
