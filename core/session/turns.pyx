"""Long work in slices: what a batch does by itself ends after a few milliseconds and goes on in a later turn of the loop.

In between everybody else is served, and all that rest share one slice a turn, however many they are (PL-01). Must never
put a batch off that has used less than its slice.
"""
from batchwire.core.model cimport now
from batchwire.core.session.conductor cimport Conductor

from collections import deque

cdef double SECONDS = 0.004   # that a batch works in one go

cdef Turns current = None
cdef unsigned long long slices = 0


def stats():
    """Debug counters: how often a batch has gone on after a rest, since the start."""
    return {"slices": slices}


cdef class Slice:
    cdef bint over(self) noexcept:
        """Whether the batch has to rest before it does more."""
        return self.worked >= SECONDS

    cdef void begin(self) noexcept:
        """What follows is measured, up to the next measure()."""
        self.since = now()

    cdef void measure(self) noexcept:
        """Counts the time since begin(), or the last measure()."""
        cdef double t = now()
        self.worked += t - self.since
        self.since = t

    cdef void reset(self) noexcept:
        """It has rested."""
        self.worked = 0

    cdef void add(self, double seconds) noexcept:
        """Counts work that was measured, or is known well enough."""
        self.worked += seconds

    cdef bint spend_since(self, double* since) noexcept:
        """Counts the time since then, which is now afterwards; whether the batch has to rest before it does more."""
        cdef double t = now()
        self.add(t - since[0])
        since[0] = t
        return self.over()


cdef class Turns:
    def __init__(self, loop):
        self.loop = loop
        self.line = deque()

    cdef int add(self, Conductor batch) except -1:
        """batch.turn() is to be called in a later turn of the loop, once."""
        self.line.append(batch)
        if not self.due:
            self.due = True
            self.loop.call_soon(self.on_turn)
        return 0

    def on_turn(self):
        global slices
        cdef double end = now() + SECONDS
        cdef Conductor batch
        cdef Py_ssize_t left = len(self.line)
        self.due = False
        try:
            while left:
                left -= 1
                batch = self.line.popleft()
                slices += 1
                batch.turn()
                if now() >= end:
                    break
        finally:
            if self.line and not self.due:
                self.due = True
                self.loop.call_soon(self.on_turn)


cdef Turns turns_of(object loop):
    global current
    if current is None or current.loop is not loop:
        current = Turns(loop)
    return current
