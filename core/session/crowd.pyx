"""How much of the requests of all batches may be in memory at once (PL-13).

Above the bound of the process a batch reads no more of its request while it holds LITTLE itself; but one, which has the
turn, goes on until it holds less, has ended, or there is room again. So the batches never all wait for one another, and
a small one for none. Those that wait go on in the order in which they began to.

Must never call into a batch at once: whoever lets bytes go may be in the middle of another.
"""
from batchwire.core.memory cimport Tide
from batchwire.core.model cimport now

cdef enum:
    LITTLE = 65536            # bytes that a batch may hold in any case
    READ = 262144             # that one which goes on may bring at once

cdef Py_ssize_t process_held = 0
cdef Tide tide = Tide()
cdef dict waiting = {}        # Share -> None, the first first
cdef Share turn = None        # whose batch goes on above the bound


def stats():
    """Debug counters: bytes of requests that batches hold, and batches that wait for room."""
    return {"request_held": process_held, "request_waiting": len(waiting)}


cdef Py_ssize_t held_by_all() noexcept:
    """Bytes that count now."""
    return process_held


cdef int wake_others() except -1:
    """Lets batches read on that may."""
    global turn
    cdef Share share
    cdef Py_ssize_t room = 0
    while waiting:
        share = next(iter(waiting))
        if process_held + room > share.bound:
            if turn is not None or room:
                return 0
            if share.held >= LITTLE:      # else it may go on without, and might have nothing to give the turn back by
                turn = share
        room += READ
        del waiting[share]
        share.batch.rest()
    return 0


cdef class Share:
    """bound: bytes."""

    def __init__(self, Conductor batch, Py_ssize_t bound):
        self.batch = batch
        self.bound = bound

    def __dealloc__(self):
        global process_held
        process_held -= self.held

    cdef int tell(self, Py_ssize_t held) except -1:
        """What the batch holds now."""
        global process_held, turn
        process_held += held - self.held
        self.held = held
        tide.tell(process_held)
        if turn is self and (held < LITTLE or process_held <= self.bound):
            turn = None
        return wake_others() if waiting else 0

    cdef bint may_read(self) except -1:
        """Whether the batch may read on; if not, rest() of the batch is called when it may."""
        global turn
        if process_held <= self.bound or self.held < LITTLE or turn is self:
            pass
        elif turn is None and not waiting:
            turn = self
        else:
            waiting[self] = None
            if self.since == 0:
                self.since = now()
            return False
        self.since = 0
        return True

    cdef bint goes_alone(self) noexcept:
        """Whether others wait for this batch to end."""
        return turn is self and len(waiting) > 0

    cdef int leave(self) except -1:
        """The batch reads no more."""
        self.since = 0
        waiting.pop(self, None)
        return 0

    cdef int pass_on(self, Share other) except -1:
        """The other one counts from now on what the batch holds, and has the turn if this one had it."""
        global turn
        if turn is self and other.batch is not None:
            turn = other                  # which tells what it holds before it lets others go on
        return self.close()

    cdef int close(self) except -1:
        """It has ended."""
        global turn
        self.batch = None
        self.leave()
        if turn is self:
            turn = None
        return self.tell(0)
