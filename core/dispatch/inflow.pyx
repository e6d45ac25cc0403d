"""How much of the answers of a batch, and of all batches, may be in memory at once (AN-05).

Answers count from COUNTED bytes on, results until the front takes them. Above the bound of the batch only one answer
is read on: the one of the earliest call, so that a batch in request order always moves; and none while the client has
results to take. Above half of the bound of the process only one answer of all batches is read on, as far as it has room
below the bound, and a result is made ready only if what it becomes has. Without room both go on while what clients have
not taken is little. Those that wait stop reading from their connection; their call's time does not run.

Must never let all wait for one another. Invariant: where answers wait, one of these goes on by itself.
  - An answer is read on (the earliest of the batch, or of the batch that has the turn): it ends, or its call's time does.
  - The earliest call of a batch in request order runs and is below COUNTED: the same.
  - A client has results to take (`full`, process_out): it takes them, or is cut for taking none.
  - A result is in the making (process_making): it goes on until it is out, or in the window of its batch.
So `full` must never mean results that wait for an earlier call, which may be the one that is to be read
(Bounds.client_first).
"""
from batchwire.core.model cimport Call, now
from batchwire.core.upstream.base cimport CallOwner, Inlet
from libc.stdint cimport uint64_t

cdef enum:
    READ = 262144             # what one read may bring
    LITTLE = 8                # results not taken that are less than the bound divided by it hold nothing up
    SPARE = 2                 # the bound divided by it is left to them, so that some slow clients do not hold up the others
    UNDER_WAY = 16            # the same for reads that are under way: each brings up to READ before it is counted

# Of all batches that have had an answer to count.
cdef Py_ssize_t process_reading = 0
cdef Py_ssize_t process_out = 0
cdef Py_ssize_t process_making = 0    # of process_reading: what the results that are in the making become
cdef dict waiting = {}        # Inflow -> None: those that have answers waiting, in the order in which they began to
cdef dict unwritten = {}      # Inflow -> None: those whose results wait for room to be written, the first first
cdef Inflow turn = None       # whose one answer is read on above the bound of the process
cdef bint blocked = False     # some wait for the process and not for their own batch


cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif

    static void bw_tune_malloc(void)
    {
    #if defined(__GLIBC__)
        mallopt(M_MMAP_THRESHOLD, 1 << 19);     /* below what an outbox makes pieces of */
        mallopt(M_TRIM_THRESHOLD, 16 << 20);
    #endif
    }
    """
    void bw_tune_malloc() nogil


def tune_malloc():
    """For a process that is a gateway: large bodies go back to the system when they are freed.

    glibc would raise its threshold with the first one and keep the others in its heap, where one that lives behind
    them holds all of their memory.
    """
    bw_tune_malloc()


def stats():
    """Debug counters: bytes of answers being read and of results not taken, batches that wait with reading."""
    return {"answers_reading": process_reading, "answers_out": process_out, "answers_waiting": len(waiting)}


cdef int wake_others() except -1:
    """Lets other batches go on when the process has room again, or when nobody has the turn."""
    global blocked
    cdef Inflow inflow
    cdef Py_ssize_t coming = 0          # what those that are let go may bring before they are counted
    while unwritten:
        inflow = next(iter(unwritten))
        if not inflow.has_room():
            break
        del unwritten[inflow]
        inflow.owner.room_to_write()
    if not blocked:
        return 0
    for inflow in list(waiting):
        if process_reading + process_out + coming > inflow.read_bound:
            if coming == 0 and turn is not None:
                turn.relieve()
            if coming or turn is not None or unwritten or not inflow.has_room_to_read():
                return 0
        coming += inflow.relieve() * READ
    blocked = False
    return 0


cdef class Inflow:
    """bound, process_bound: bytes. batch_deadline: monotonic seconds."""

    def __init__(self, CallOwner owner, Py_ssize_t bound, Py_ssize_t process_bound, double batch_deadline):
        self.owner = owner
        self.bound = bound
        self.process_bound = process_bound
        self.read_bound = process_bound - process_bound // SPARE
        self.full_bound = process_bound - process_bound // UNDER_WAY
        self.batch_deadline = batch_deadline
        self.moved = now()
        self.inlets = []

    def __dealloc__(self):
        global process_reading, process_out, process_making
        process_reading -= self.reading + self.window
        process_out -= self.out
        process_making -= self.making

    # --- what the upstream says

    cdef int grew(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        """The answer of a call has so many bytes now, and more are to come."""
        global process_reading
        if inlet.inflow is None:
            inlet.inflow = self
            inlet.answering = call
            inlet.counted = 0
            self.inlets.append(inlet)
        self.moved = now()
        self.reading += size - inlet.counted
        process_reading += size - inlet.counted
        inlet.counted = size
        if not inlet.held and not self.may_read(inlet):
            self.hold(inlet)
        # Those that were let go have brought less than they might.
        return wake_others() if blocked and process_reading + process_out + READ <= self.read_bound else 0

    cdef int ended(self, Inlet inlet) except -1:
        """The answer is whole, or is not wanted any more. update() follows, or close()."""
        global process_reading, turn
        self.moved = now()
        self.inlets.remove(inlet)
        self.reading -= inlet.counted
        process_reading -= inlet.counted
        if inlet.held:
            self.let_go(inlet)
        inlet.inflow = None
        inlet.answering = None
        if turn is self:
            turn = None
        return 0

    # --- what the batch says

    cdef int update(self, Py_ssize_t out, Py_ssize_t window, Py_ssize_t making, bint full, bint window_full,
                    uint64_t next_out) except -1:
        """making: of the window."""
        global process_reading, process_out, process_making, turn
        if out != self.out or window != self.window or next_out != self.next_out:
            self.moved = now()
        process_out += out - self.out
        process_reading += window - self.window
        process_making += making - self.making
        self.out = out
        self.window = window
        self.making = making
        self.full = full
        self.window_full = window_full
        self.next_out = next_out
        if turn is self and full:
            turn = None
        self.relieve()
        return wake_others()

    cdef int close(self) except -1:
        """The batch has ended; what the front has not taken of it still counts."""
        cdef Inlet inlet
        for inlet in list(self.inlets):
            self.ended(inlet)
        unwritten.pop(self, None)
        self.owner = None
        return 0

    # --- results that wait for being written

    cdef bint may_write(self, Py_ssize_t most) except -1:
        """Whether a result that becomes so many bytes at most may be written; if not, room_to_write() follows."""
        self.most = most
        if self.has_room():
            unwritten.pop(self, None)
            return True
        unwritten[self] = None
        return False

    cdef bint has_room(self) noexcept:
        return process_reading + process_out + self.most <= self.full_bound or self.holds_little()

    cdef bint holds_little(self) noexcept:
        # What is not written yet leaves only by being written, so that it alone must not keep it from that. What is in
        # the making is as good as out: else all that has been read would be made at once, before any of it is out.
        return process_out + process_making <= self.process_bound // LITTLE

    cdef bint has_room_to_read(self) noexcept:
        return process_reading + process_out + READ <= self.full_bound or self.holds_little()

    # --- who reads

    cdef Inlet leader(self):
        """The one whose call is the earliest."""
        cdef Inlet inlet, first = None
        for inlet in self.inlets:
            if first is None or inlet.answering.number < first.answering.number:
                first = inlet
        return first

    cdef bint may_read(self, Inlet inlet) except -1:
        global turn, blocked
        cdef bint crowded = process_reading + process_out > self.read_bound
        if not crowded and self.reading + self.window + self.out <= self.bound:
            return True
        if self.full or inlet is not self.leader():
            blocked = blocked or crowded
            return False
        # GW-23: what comes before it can end by itself, unless it has no connection because the others have them all.
        if self.window_full and inlet.answering.number != self.next_out and not self.owner.may_overtake():
            if turn is self:
                turn = None
            return False
        if not crowded:
            return True
        # What has been read and waits for being written comes first: else it would grow by what is read in turn.
        if turn is None and not unwritten and self.has_room_to_read():
            turn = self
        # Who lacks room in the middle keeps the turn: else the answers that are begun would take up all of it.
        if turn is self and self.has_room_to_read():
            return True
        blocked = True
        return False

    cdef int relieve(self) except -1:
        """Lets those read on that may, the earliest first, as far as what they may bring at once has room; how many."""
        cdef Py_ssize_t room = min(self.bound - self.reading - self.window - self.out,
                                   self.read_bound - process_reading - process_out)
        cdef Inlet inlet
        cdef int count = 0
        if self.held == 0:
            return 0
        for inlet in sorted(self.inlets, key=number_of):
            if inlet.held and self.may_read(inlet):
                self.let_go(inlet)
                count += 1
                room -= READ
                if room <= 0:
                    break
        return count

    cdef int hold(self, Inlet inlet) except -1:
        inlet.held = True
        self.held += 1
        waiting[self] = None
        inlet.left = inlet.answering.deadline - now()
        inlet.answering.deadline = self.batch_deadline
        return inlet.pause_reading()

    cdef int let_go(self, Inlet inlet) except -1:
        inlet.held = False
        self.held -= 1
        if self.held == 0:
            waiting.pop(self, None)
        inlet.answering.deadline = min(now() + max(inlet.left, 0.0), self.batch_deadline)
        return inlet.resume_reading()


def number_of(Inlet inlet not None):
    return inlet.answering.number
