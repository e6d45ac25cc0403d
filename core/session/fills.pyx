"""How much of what references put into calls may be in memory at once (PL-15).

A call is let in before it is filled in: as it came it costs little, and it may wait so for room. It counts until it has
its result. Those that want more than LITTLE leave a part of the bound to the others, and come one after the other. While
there is no room, one call in the process is filled in all the same, and when that has ended another: of a batch in which
nothing else goes on. So batches never all wait for one another.

Must never call into a batch at once: whoever lets bytes go may be in the middle of another.
"""
from batchwire.core.model cimport now

cdef enum:
    LITTLE = 65536            # bytes that a call may want and go on up to the bound itself
    SPARE = 4                 # the bound divided by it is left to those

cdef Py_ssize_t process_held = 0
cdef dict waiting = {}        # Fills -> None: the first first
cdef Fills turn = None        # whose batch may have a call filled in, or has, though there is no room


def stats():
    """Debug counters: bytes that references have put into calls, and batches that wait for room for more."""
    return {"filled_held": process_held, "filled_waiting": len(waiting)}


cdef int wake_others() except -1:
    """Lets the first one look whether it fits, and gives the turn to the first one that needs it."""
    global turn
    cdef Fills one
    if not waiting:
        return 0
    one = next(iter(waiting))
    if one.fits(one.wanted):
        one.batch.rest()
    if turn is None:
        for one in waiting:
            if one.idle:
                turn = one
                return one.batch.rest()
    return 0


cdef class Fills:
    @staticmethod
    cdef Fills of(Conductor batch, Py_ssize_t bound):
        """bound: bytes."""
        cdef Fills made = Fills.__new__(Fills)
        made.batch = batch
        made.bound = bound
        return made

    def __dealloc__(self):
        global process_held
        process_held -= self.held

    cdef bint fits(self, Py_ssize_t wanted) noexcept:
        """Whether there is room for so many bytes more."""
        if wanted <= LITTLE:
            return process_held + wanted <= self.bound
        if waiting and next(iter(waiting)) is not self:
            return False
        return process_held == 0 or process_held + wanted <= self.bound - self.bound // SPARE

    cdef bint may_let_in(self) noexcept:
        """Whether a call may be filled in without room, if nothing else goes on in the batch."""
        return self.let_in is None and (turn is None or turn is self)

    cdef int begin(self, Call call, Py_ssize_t wanted, Py_ssize_t before, bint fits) except -1:
        """The call is filled in from now on: it has `before` bytes, and gets `wanted` more at most."""
        global turn
        if not fits:
            turn = self
            self.let_in = call
            call.keeps = -1               # nor must its answer wait for room: others wait for its end
        self.before = before
        call.growth = wanted
        self.count(wanted)
        return self.leave()

    cdef int end(self, Call call, Py_ssize_t after) except -1:
        """So many bytes it has now."""
        cdef Py_ssize_t grown = max(after - self.before, 0)
        self.count(grown - call.growth)
        call.growth = grown
        return 0

    cdef int done(self, Call call) except -1:
        """The call has its result."""
        global turn
        cdef Py_ssize_t grown = call.growth
        call.growth = 0
        if self.let_in is call:
            self.let_in = None
            turn = None
        elif grown == 0:
            return 0
        return self.count(-grown)

    cdef int count(self, Py_ssize_t more) except -1:
        global process_held
        self.held += more
        process_held += more
        return wake_others() if more <= 0 else 0

    cdef int wait(self, Py_ssize_t wanted, bint idle) except -1:
        """There is no room. idle: nothing else goes on in the batch."""
        self.wanted = wanted
        self.idle = idle
        if self.since == 0:
            self.since = now()
            waiting[self] = None
        return self.pass_turn() if not idle else 0

    cdef int leave(self) except -1:
        """The batch waits no more."""
        if self.since == 0:
            return 0
        self.since = 0
        self.idle = False
        del waiting[self]
        self.pass_turn()
        return wake_others()

    cdef int pass_turn(self) except -1:
        """It does not make use of the turn."""
        global turn
        if turn is self and self.let_in is None:
            turn = None
            return wake_others()
        return 0

    cdef int close(self) except -1:
        """It has ended."""
        self.batch = None
        self.let_in = None
        self.leave()
        self.pass_turn()
        return self.count(-self.held)
