"""Long work in slices: what a batch does by itself ends after a few milliseconds and goes on in a later turn of the loop.

In between everybody else is served. All that rest share one slice a turn, however many they are, and so do all that do
not (PL-01): when theirs is used up, those that have done more than a trifle rest, too. Must never put a batch off that
has done less than that: a small one is answered at once, whatever the others do.

Who goes on first is decided by start-time fair queueing among origins (Goyal, Vin, Cheng 1996), so that those of a
connection with many batches wait for each other, and hardly ever those of another. Each turn that is asked for begins,
in virtual time, when the one that its origin asked for before will have ended; the first to begin goes on. A batch that
has not had a whole slice yet need not wait for those of its origin that have. Virtual time goes on as much as each of
those that wait would have had, so that newcomers do not put off the others for ever.
"""
from batchwire.core.model cimport now
from batchwire.core.origin cimport Origin
from batchwire.core.session.conductor cimport Conductor

from heapq import heappop, heappush

cdef double SECONDS = 0.004   # that a batch works in one go, and all of them together in one turn
cdef double TRIFLE = 0.0001   # that it works in any case
cdef double FIRST = 0.001     # that one is taken to need that has not had a whole slice

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
    cdef Slice of(object loop, Origin origin):
        cdef Slice made = Slice.__new__(Slice)
        made.turns = turns_of(loop)
        made.origin = origin
        return made

    cdef bint over(self) noexcept:
        """Whether the batch has to rest before it does more."""
        if forced:
            self.asked += 1
            return self.asked > forced
        return self.worked >= TRIFLE and (self.worked >= SECONDS or self.turns.used >= SECONDS)

    cdef bint over_for_much(self) noexcept:
        """The same before what takes more than a trifle, so that many who come together do not all do that in one turn."""
        return self.over() or (not forced and self.turns.used >= SECONDS)

    cdef int rest(self, Conductor batch) except -1:
        """batch.turn() is to be called in a later turn of the loop, once, and says reset(); others are served before."""
        if not self.resting:
            self.resting = True
            self.before += self.worked
            self.turns.add(batch, self.origin, self.before >= SECONDS)
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
        self.line = []

    cdef int add(self, Conductor batch, Origin origin, bint served) except -1:
        """batch.turn() is to be called in a later turn of the loop, once. served: it has had a whole slice before."""
        cdef double start
        if not self.line:
            self.period += 1              # what anybody has had before counts no more
            self.virtual = 0
        if origin.period != self.period:
            origin.period = self.period
            origin.used = origin.begun = 0
        start = max(self.virtual, origin.used if served else origin.begun)
        if served:
            origin.used = start + SECONDS
        else:
            origin.begun = start + FIRST
        self.count += 1
        heappush(self.line, (start, self.count, batch))
        if not self.due:
            self.due = True
            self.loop.call_soon(self.on_turn)
        return 0

    def on_turn(self):
        global slices
        cdef double start, since = now(), end = since + SECONDS, t
        cdef unsigned long long last = self.count     # those that come now are for later turns
        cdef list line = self.line
        cdef Conductor batch
        self.due = False
        # It counts from here; where no batch has rested since, what earlier turns have used may be in it.
        self.used = 0
        try:
            while line and (<tuple>line[0])[1] <= last:
                start, _, batch = heappop(line)
                slices += 1
                batch.turn()
                t = now()
                self.virtual = max(self.virtual, start) + (t - since) / (len(line) + 1)
                since = t
                if t >= end:
                    break
        finally:
            self.used = 0
            if line and not self.due:
                self.due = True
                self.loop.call_soon(self.on_turn)


cdef Turns turns_of(object loop):
    global current
    if current is None or current.loop is not loop:
        current = Turns(loop)
    return current
