"""Long work in slices: what a batch does by itself ends after a few milliseconds and goes on in a later turn of the loop.

In between everybody else is served. All that rest share one slice a turn, however many they are, and so do all that do
not (PL-01): when theirs is used up, those that have done more than a trifle rest, too. Must never put a batch off that
has done less than that: a small one is answered at once, whatever the others do.
"""
from batchwire.core.model cimport now
from batchwire.core.session.conductor cimport Conductor

from collections import deque

cdef double SECONDS = 0.004   # that a batch works in one go, and all of them together in one turn
cdef double TRIFLE = 0.0001   # that it works in any case

cdef Turns current = None
cdef unsigned long long slices = 0
cdef int forced = 0           # times that a batch asks whether its slice is over before it is; 0: the clock says


def stats():
    """Debug counters: how often a batch has gone on after a rest, since the start."""
    return {"slices": slices}


def force(int steps):
    """For tests: a slice is over after so many steps, whatever the clock says; 0: the clock says it again."""
    global forced
    forced = steps


cdef class Slice:
    @staticmethod
    cdef Slice of(object loop):
        cdef Slice made = Slice.__new__(Slice)
        made.turns = turns_of(loop)
        return made

    cdef bint over(self) noexcept:
        """Whether the batch has to rest before it does more."""
        if forced:
            self.asked += 1
            return self.asked > forced
        return self.worked >= TRIFLE and (self.worked >= SECONDS or self.turns.used >= SECONDS)

    cdef int rest(self, Conductor batch) except -1:
        """batch.turn() is to be called in a later turn of the loop, once, and says reset(); others are served before."""
        if not self.resting:
            self.resting = True
            self.turns.add(batch, self.worked < SECONDS)
        return 0

    cdef void begin(self) noexcept:
        """What follows is measured, up to the next measure()."""
        self.since = now()

    cdef void measure(self) noexcept:
        """Counts the time since begin(), or the last measure()."""
        cdef double t = now()
        self.add(t - self.since)
        self.since = t

    cdef void reset(self) noexcept:
        """It has rested."""
        self.resting = False
        self.worked = 0
        self.asked = 0

    cdef void add(self, double seconds) noexcept:
        """Counts work that was measured, or is known well enough."""
        self.worked += seconds
        self.turns.used += seconds

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
        self.late = deque()

    cdef int add(self, Conductor batch, bint late) except -1:
        """batch.turn() is to be called in a later turn of the loop, once. late: others had used this one."""
        (self.late if late else self.line).append(batch)
        if not self.due:
            self.due = True
            self.loop.call_soon(self.on_turn)
        return 0

    def on_turn(self):
        global slices
        cdef double end = now() + SECONDS
        cdef Conductor batch
        cdef Py_ssize_t late = len(self.late), left = len(self.line)
        cdef bint one                     # of those that have had a slice comes first in every other turn
        self.due = False
        self.others = not self.others
        one = left > 0 and self.others
        # It counts from here; where no batch has rested since, what earlier turns have used may be in it.
        self.used = 0
        try:
            while late + left > 0:
                if late > 0 and not one:
                    late -= 1
                    batch = self.late.popleft()
                else:
                    left -= 1
                    batch = self.line.popleft()
                one = False
                slices += 1
                batch.turn()
                if now() >= end:
                    break
        finally:
            self.used = 0
            if (self.line or self.late) and not self.due:
                self.due = True
                self.loop.call_soon(self.on_turn)


cdef Turns turns_of(object loop):
    global current
    if current is None or current.loop is not loop:
        current = Turns(loop)
    return current
