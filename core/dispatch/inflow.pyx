"""How much of the answers of a batch, and of all batches, may be in memory at once (AN-05).

Answers count from COUNTED bytes on, results until the client takes them, what is made of a result or promised to a batch
from the moment that it may be. Four operations let that grow, each for one batch: an answer is read on, a result is made
ready, a batch whose answer is one message goes on to its end, calls are started. With room all go on, each up to a mark:
reading to read_bound, so that what is read can still become results; then one answer at a time, and the others, to
full_bound; batches that hold LITTLE to the bound itself. Calls start freely to NOT_BEGUN alone, because an answer that
comes in one read cannot be held up. Without room one batch goes on (`alone`) while clients have little to take.
Beyond that is what nobody asks for: a read of each connection, and one call of each batch that holds next to nothing.

Must never let all wait for one another. Invariant: where something waits, one of these goes on by itself.
  - Clients have more than a little to take, or to take soon (process_out, process_making): they do, or are cut.
  - Else the first that waits and whose bytes reach its client (leads, single) goes on without room, before all turns, and
    ends: an answer by its upstream or its call's time, a result by being made, a batch by all of its calls. It is alone
    until it holds LITTLE, has ended, has nothing to go on with, or its client is to take.
  - In request order only the earliest call without a result leads. If it does not wait it runs, below COUNTED: it ends
    by itself. If it cannot run because those behind it have all connections, or are what it waits for, they lead.
So `full` must never mean results that wait for an earlier call, which may be the one that is to be read
(Bounds.client_first).
"""
from batchwire.core.memory cimport Tide
from batchwire.core.model cimport Call, now
from batchwire.core.upstream.base cimport CallOwner, Inlet
from libc.stdint cimport uint64_t

cdef enum:
    READ = 262144             # what one read may bring
    LITTLE = 262144           # bytes that a batch may hold and go on up to the bound of the process
    NEXT_TO_NOTHING = 131072  # bytes that a batch may hold and start one call in any case
    SMALL = 8388608           # that a result of such a batch may become
    # The bound of the process divided by it:
    TAKEN_SOON = 8            # is what clients may have to take while one of those that wait goes on without room
    ALONE = 4                 # what batches may hold whose answer is one message, above which one of these is read on
    NOT_BEGUN = 4             # is left to answers that come whole: calls start freely below that
    SPARE = 2                 # is left to what answers become that have been read
    UNDER_WAY = 16            # is left to batches that hold little

# Of all batches that have had an answer to count.
cdef Py_ssize_t process_reading = 0
cdef Py_ssize_t process_out = 0
cdef Py_ssize_t process_making = 0    # of process_reading: what is to be out soon, and has its room
cdef Py_ssize_t process_single = 0    # of process_reading: what batches hold whose answer is one message
cdef dict waiting = {}        # Inflow -> None: those that have answers waiting, in the order in which they began to
cdef dict unwritten = {}      # Inflow -> None: those whose results wait for room to be made ready, the first first
cdef dict unfit = {}          # Inflow -> None: the same where they would wait for earlier ones of their batch then
cdef dict unstarted = {}      # Inflow -> None: those that wait with starting calls
cdef dict returning = {}      # Inflow -> None: those that wait with asking again for answers that were given up (AN-09)
cdef Inflow turn = None       # whose one answer is read on above the bound of the process
cdef Inflow single_turn = None        # the same of those whose answer is one message: it goes on until it has ended
cdef Inflow alone = None      # the one batch that goes on without room
cdef Tide tide = Tide()
cdef bint blocked = False     # some wait for the process and not for their own batch


def stats():
    """Debug counters: bytes of answers being read and of results not taken, batches that wait with reading."""
    return {"answers_reading": process_reading, "answers_out": process_out, "answers_waiting": len(waiting)}


cdef bint starts_freely(Py_ssize_t process_bound) noexcept:
    """Whether batches may start calls at their will."""
    return process_reading + process_out <= process_bound - process_bound // NOT_BEGUN


cdef int wake_others() except -1:
    """Lets other batches go on when the process has room again, or when nobody has the turn."""
    global blocked
    cdef Inflow inflow
    cdef Py_ssize_t coming = 0          # what those that are let go may bring before they are counted
    cdef bint stuck = False
    if not (blocked or unwritten or unfit or returning or unstarted):
        return 0                        # asked with each answer, and mostly nobody waits
    for inflow in list(unwritten) if unwritten else ():
        # What comes behind one that has no room must not take it away from that.
        if inflow.is_small(inflow.most, coming) or (
                (not stuck or inflow is alone) and inflow.has_room(inflow.most, coming, True)):
            del unwritten[inflow]
            coming += inflow.most
            inflow.owner.room_to_write()
        else:
            stuck = True
    for inflow in list(unfit) if unfit else ():
        if not stuck and inflow.has_room(inflow.most, coming, False):
            del unfit[inflow]
            coming += inflow.most
            inflow.owner.room_to_write()
    if blocked:
        blocked = False                 # until one is found that is
        for inflow in list(waiting):
            if inflow.may_lead_now(coming):
                coming += inflow.relieve() * READ
            else:
                blocked = True
    for inflow in list(returning) if returning else ():
        if inflow.may_return():
            del returning[inflow]
            inflow.owner.room_to_write()
    for inflow in list(unstarted) if unstarted else ():
        if coming > 0:
            break
        if inflow.may_start(inflow.owner.calls_running()):
            inflow.owner.room_to_write()
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
        self.count(0, 0, 0, 0)

    cdef Py_ssize_t own(self) noexcept:
        """Bytes of the batch."""
        return self.reading + self.window + self.out

    cdef void count(self, Py_ssize_t reading, Py_ssize_t window, Py_ssize_t out, Py_ssize_t making) noexcept:
        """What the batch holds now, and what it has been promised beyond that."""
        global process_reading, process_out, process_making, process_single
        cdef Py_ssize_t promised = max(self.message - reading - window, 0) if single_turn is self else 0
        cdef Py_ssize_t of_single = reading + window if self.single else 0
        process_reading += reading + window + promised - self.reading - self.window - self.promised
        process_out += out - self.out
        process_making += making + promised - self.making - self.promised
        process_single += of_single - self.of_single
        self.reading = reading
        self.window = window
        self.out = out
        self.making = making
        self.promised = promised
        self.of_single = of_single
        tide.tell(process_reading + process_out)

    # --- what the upstream says

    cdef int grew(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        """The answer of a call has so many bytes now, and more are to come."""
        if inlet.inflow is None:
            inlet.inflow = self
            inlet.answering = call
            inlet.counted = 0
            self.inlets.append(inlet)
        self.moved = now()
        self.count(self.reading + size - inlet.counted, self.window, self.out, self.making)
        inlet.counted = size
        if not inlet.held and not self.may_read(inlet):
            self.hold(inlet)
        # Those that were let go have brought less than they might.
        return wake_others() if blocked and process_reading + process_out + READ <= self.read_bound else 0

    cdef int ended(self, Inlet inlet) except -1:
        """The answer is whole, or is not wanted any more. update() follows, or close()."""
        global turn
        self.moved = now()
        self.inlets.remove(inlet)
        self.count(self.reading - inlet.counted, self.window, self.out, self.making)
        if inlet.held:
            self.let_go(inlet)
        inlet.inflow = None
        inlet.answering = None
        if turn is self:
            turn = None
        return 0

    # --- what the batch says

    cdef int update(self, Py_ssize_t out, Py_ssize_t window, Py_ssize_t making, Py_ssize_t message, bint full,
                    bint window_full, uint64_t next_out) except -1:
        """making: of the window. message: bytes at most of an answer that is one message and has not ended, or 0."""
        global turn, single_turn, alone
        if out != self.out or window != self.window or next_out != self.next_out:
            self.moved = now()
        self.single = message > 0 and self.owner is not None
        self.message = message
        if single_turn is self and (not self.single or not self.is_crowded(0)):
            single_turn = None
        self.count(self.reading, window, out, making)
        self.full = full
        self.window_full = window_full
        self.next_out = next_out
        if turn is self and full:
            turn = None
        if alone is self and (self.to_take or not self.goes_on or self.own() <= LITTLE
                              or process_reading + process_out <= self.full_bound):
            alone = None
        self.relieve()
        return wake_others()

    cdef int close(self) except -1:
        """The batch has ended; what the front has not taken of it still counts."""
        global single_turn, alone
        cdef Inlet inlet
        for inlet in list(self.inlets):
            self.ended(inlet)
        for line in (unwritten, unfit, unstarted, returning):
            line.pop(self, None)
        if single_turn is self:
            single_turn = None
        if alone is self:
            alone = None
        self.owner = None
        self.single = False
        self.count(self.reading, self.window, self.out, self.making)
        return wake_others()

    # --- whether there is room

    cdef bint has_room(self, Py_ssize_t most, Py_ssize_t coming, bint leads) noexcept:
        """Whether so many bytes may be added. coming: to others, who have been let go on."""
        return process_reading + process_out + coming + most <= self.full_bound or self.is_small(most, coming) \
            or (leads and coming == 0 and self.may_go_alone())

    cdef bint may_go_alone(self) noexcept:
        """Whether the batch goes on without room: one does, until it holds little, has ended, or its client is to take."""
        global alone
        if alone is None and process_out + process_making <= self.process_bound // TAKEN_SOON:
            alone = self
        return alone is self and process_out + process_making <= self.process_bound // TAKEN_SOON

    cdef bint is_small(self, Py_ssize_t most, Py_ssize_t coming) noexcept:
        """Whether the batch holds little, so that it waits for the bound alone."""
        return most <= SMALL and self.own() <= LITTLE \
            and process_reading + process_out + coming + most <= self.process_bound

    cdef bint is_crowded(self, Py_ssize_t coming) noexcept:
        """Whether answers of the batch are read in turn with those of others."""
        if self.single and process_single + coming > self.process_bound // ALONE:
            return True
        return process_reading + process_out - self.promised + coming > self.read_bound

    # --- results that wait for being made ready

    cdef bint may_write(self, Py_ssize_t most, bint leads) except -1:
        """Whether a result that becomes so many bytes at most may be made ready; if not, room_to_write() follows.

        leads: it reaches the client then, or another does that waits for it. One that would wait itself has to fit.
        """
        (unfit if leads else unwritten).pop(self, None)
        if single_turn is self or self.has_room(most, 0, leads):
            (unwritten if leads else unfit).pop(self, None)
            return True
        self.most = most
        (unwritten if leads else unfit)[self] = None
        return False

    # --- batches whose answer is one message; starting

    cdef bint may_finish(self, Py_ssize_t coming) noexcept:
        """Whether the batch may go on to its end: nobody can take any of it before. Its client must not hold that up."""
        global single_turn
        if single_turn is None and self.may_end and self.has_room(max(self.message - self.own(), 0), coming, True):
            single_turn = self
            self.count(self.reading, self.window, self.out, self.making)
        return single_turn is self

    cdef bint may_start(self, int running) except -1:
        """Whether the batch may start one more call; if not, room_to_write() follows. running: of its calls."""
        if self.taken_back and not self.may_return():
            returning[self] = None
            return False
        self.taken_back = False
        # What runs may bring as much as is read at once before it is counted.
        if (running == 0 and self.own() <= NEXT_TO_NOTHING) or (
                (not self.is_crowded(0) or self.may_finish(0)) if self.single else
                (starts_freely(self.process_bound) or (running == 0 and self.may_go_alone()))):
            if unstarted:
                unstarted.pop(self, None)
            return True
        unstarted[self] = None
        return False

    cdef bint may_return(self) noexcept:
        """Whether answers that were given up may be asked for again: else they would only be given up again."""
        return single_turn is self or alone is self or not self.is_crowded(0) or (
            turn is None and not unwritten and process_out + process_making <= self.process_bound // TAKEN_SOON)

    cdef bint ends_first(self) noexcept:
        """Whether others wait until it has ended."""
        return single_turn is self

    cdef bint waits_to_start(self) noexcept:
        return self in unstarted or self in returning

    # --- who reads

    cdef Inlet leader(self):
        """The one whose call is the earliest."""
        cdef Inlet inlet, first = None
        for inlet in self.inlets:
            if first is None or inlet.answering.number < first.answering.number:
                first = inlet
        return first

    cdef bint may_lead_now(self, Py_ssize_t coming) noexcept:
        """Whether the process keeps none of its answers from being read on."""
        if not self.is_crowded(coming) or self.is_small(READ, coming):
            return True
        if self.single:
            return self.may_finish(coming)
        # The one that goes on without room must not wait for others, which have none.
        return (alone is self or turn is self or (turn is None and not unwritten)) and self.has_room(READ, coming, True)

    cdef bint may_read(self, Inlet inlet) except -1:
        global turn, blocked
        cdef bint crowded = single_turn is not self and self.is_crowded(0)
        cdef uint64_t number = inlet.answering.number
        if self.own() <= self.bound and (not crowded or self.is_small(READ, 0)):
            return True
        if self.full or inlet is not self.leader():
            blocked = blocked or crowded
            return False
        # GW-23: what comes before it can end by itself, unless it has no connection because the others have them all.
        if (self.window_full or (crowded and not self.single)) and self.ordered and number != self.next_out \
                and not self.owner.may_overtake():
            blocked = blocked or crowded
            if turn is self:
                turn = None
            return False
        if not crowded:
            return True
        # Who lacks room in the middle keeps the turn: else the answers that are begun would take up all of it.
        if self.may_lead_now(0):
            if not self.single:
                turn = self
            return True
        blocked = True
        return False

    cdef int relieve(self) except -1:
        """Lets those read on that may, the earliest first, as far as what they may bring at once has room; how many."""
        cdef Py_ssize_t room
        cdef Inlet inlet
        cdef int count = 0
        if self.held == 0:
            return 0
        room = min(self.bound - self.own(), self.read_bound - process_reading - process_out)
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
