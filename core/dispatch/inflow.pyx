"""How much of the answers of a batch, and of all batches, may be in memory at once (AN-05).

Answers count from COUNTED bytes on, results until the client takes them, what is made of a result or promised to a batch
from the moment that it may be. Four operations let that grow (Kind). Each goes on freely up to its mark, a batch that
holds little up to the bound itself. Above its mark it waits in the line of its kind, and one batch goes on:
  - of those whose answer is one message `finishing`, to its end, for which there is to be room;
  - of the others `ahead`: it reads one answer, and passes that on while there is room. Without room it goes on until it
    holds next to nothing, has nothing to go on with, or its client is to take.
Beyond that is one small answer of each batch that holds nothing else, so that who comes later is answered, and further
beyond of each origin (top_bound); and what nobody asks for: a read of each connection, and one call of each batch that
holds next to nothing.

Must never let all wait for one another. Invariant: where something waits, one of these goes on by itself.
  - Clients have more than a little to take, or to take soon (is_much_to_take): they do, or are cut (AN-16).
  - Else the first that waits and whose bytes reach its client goes on without room, and ends: an answer by its upstream or
    its call's time, a result by being made, a batch by all of its calls.
  - In request order only the earliest call without a result leads. If it does not wait it runs, below COUNTED: it ends
    by itself. If it cannot run because those behind it have all connections, or are what it waits for, they lead.
  - An answer that calls take something out of leads nothing before it has its own room (kept_answers.pyx).
So `full` must never mean results that wait for an earlier call, which may be the one that is to be read
(Bounds.client_first).
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.dispatch.kept_answers cimport KeptAnswers, is_kept_out
from batchwire.core.memory cimport Tide
from batchwire.core.model cimport Call, now
from batchwire.core.origin cimport Origin
from batchwire.core.pressure cimport Holder, MUCH, Pressure
from batchwire.core.upstream.base cimport CallOwner, Inlet
from cpython.dict cimport PyDict_Size
from libc.stdint cimport uint64_t

cdef enum:
    READ = 262144             # bytes that one read may bring
    NEXT_TO_NOTHING = 131072  # that a batch may hold and start one call in any case
    ONE_RESULT = 524288       # that a batch may hold with a result that is to be made, and go on up to `most_bound`
    MOST_OF_LITTLE = 8388608  # that a result may become of a batch that holds little
    # The bound of the process divided by it:
    LITTLE = 64               # is what a batch may hold, or READ, and go on up to the bound,
    OF_FREE = 16              # or what is left of it by this, if that is less
    TAKEN_SOON = 8            # is what clients may have to take while one of those that wait goes on without room
    FREELY = 4                # is what batches start and read freely
    BEYOND = 2                # is what the bound may be exceeded by, by batches with one small answer each
    RESERVE = 4               # is left to batches that hold little, to what nobody asks for, and to who goes on without room

# Of all batches that have had an answer to count.
cdef Py_ssize_t process_reading = 0
cdef Py_ssize_t process_out = 0
cdef Py_ssize_t process_making = 0    # of process_reading: what is to be out soon, and has its room
cdef Py_ssize_t process_granted = 0   # of process_making: to results whose batch has not had its turn yet
cdef Py_ssize_t process_held = 0      # batches that have answers which are not read on
# Inflow -> None: those that wait for the process, the first first.
cdef dict makers = {}
cdef dict behind = {}
cdef dict readers = {}
cdef dict starters = {}
cdef tuple lines = (makers, behind, readers, starters)   # by Kind
cdef Inflow ahead = None
cdef Inflow finishing = None
cdef Tide tide = Tide()


def stats():
    """Debug counters: bytes of answers being read and of results not taken, batches that wait with reading."""
    return {"answers_reading": process_reading, "answers_out": process_out, "answers_waiting": process_held}


cdef bint starts_freely(Py_ssize_t process_bound) noexcept:
    """Whether batches may start calls at their will."""
    return process_reading + process_out <= process_bound // FREELY


cdef bint is_much_to_take(Py_ssize_t process_bound) noexcept:
    """Whether clients have more than a little to take: no batch goes on without room then."""
    return process_out + process_making > process_bound // TAKEN_SOON


cdef bint does_anybody_wait() noexcept:
    return PyDict_Size(makers) + PyDict_Size(behind) + PyDict_Size(readers) + PyDict_Size(starters) > 0


cdef int wake_others() except -1:
    """Lets those that wait go on as far as there is room, or nobody goes on in their place."""
    cdef Inflow inflow = None
    cdef Py_ssize_t coming = 0          # what those that are let go may bring before they are counted
    if not does_anybody_wait():
        return 0                        # asked with each answer
    for kind, line in enumerate(lines):
        for inflow in list(line) if line else ():
            coming += inflow.go_on(kind, coming)
    must_hold(ahead is None or ahead.owner is not None)
    must_hold(finishing is None or finishing.owner is not None)
    must_hold(ahead is not None or coming > 0 or process_granted > 0 or len(makers) == 0
              or is_much_to_take(inflow.process_bound))
    return 0


cdef class Waiters(Pressure):
    cdef double longest_wait(self, double t) except -2:
        cdef Inflow inflow
        cdef double longest = -1
        for inflow in set().union(*lines):
            longest = max(longest, inflow.waits_for_others(self.looked, t))
        return longest


cdef Waiters pressure = Waiters()


cdef int carry_wishes(Call bulk) except -1:
    """What calls want of those that travel together."""
    cdef Call call
    for call in bulk.members:
        bulk.wanted |= call.wanted
        if call.keeps < 0:
            bulk.keeps = -1
    return 0


cdef class Inflow:
    """taker: see Conductor. bound, process_bound: bytes. batch_deadline: monotonic seconds."""

    def __init__(self, CallOwner owner, Holder taker, Origin origin, Py_ssize_t bound, Py_ssize_t process_bound,
                 double batch_deadline):
        self.owner = owner
        self.origin = origin
        self.taker = taker
        if taker is not None:
            pressure.join(taker)
        self.bound = bound
        self.process_bound = process_bound
        self.read_bound = process_bound // FREELY
        self.full_bound = process_bound - process_bound // RESERVE
        self.most_bound = process_bound + process_bound // BEYOND
        self.top_bound = 2 * process_bound
        self.batch_deadline = batch_deadline
        self.moved = now()
        self.inlets = []
        self.kept = KeptAnswers.of(process_bound)

    def __dealloc__(self):
        self.grant(0)
        self.count(0, 0, 0, 0)

    cdef Py_ssize_t own(self) noexcept:
        """Bytes of the batch."""
        return self.reading + self.window + self.out

    cdef void count(self, Py_ssize_t reading, Py_ssize_t window, Py_ssize_t out, Py_ssize_t making) noexcept:
        """What the batch holds now, and what it has been promised beyond that."""
        global process_reading, process_out, process_making
        cdef Py_ssize_t promised = max(self.message - reading - window, 0) if finishing is self else 0
        process_reading += reading + window + promised - self.reading - self.window - self.promised
        process_out += out - self.out
        if self.origin is not None:
            self.origin.answers += reading + window + out - self.own()
        process_making += making + promised - self.making - self.promised
        self.reading = reading
        self.window = window
        self.out = out
        self.making = making
        self.promised = promised
        tide.tell(process_reading + process_out)

    cdef void grant(self, Py_ssize_t size) noexcept:
        """What a result is to be made of has its room from now on, until the batch has had its turn."""
        global process_reading, process_making, process_granted
        process_reading += size - self.granted
        process_making += size - self.granted
        process_granted += size - self.granted
        self.granted = size

    # --- what the upstream says

    cdef int grew(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        """The answer of a call has so many bytes now, and more are to come."""
        if inlet.inflow is None:
            inlet.inflow = self
            inlet.answering = call
            inlet.counted = 0
            self.inlets.append(inlet)
            if call.members is not None:
                carry_wishes(call)
        self.moved = now()
        self.count(self.reading + size - inlet.counted, self.window, self.out, self.making)
        inlet.counted = size
        if not inlet.held and not self.may_read(inlet, 0):
            self.hold(inlet)
            if ahead is self:
                self.owner.room_to_write()          # others may have to go ahead
        # Those that were let go have brought less than they might.
        return wake_others() if len(readers) and process_reading + process_out + READ <= self.read_bound else 0

    cdef int ended(self, Inlet inlet) except -1:
        """The answer is whole, or is not wanted any more. update() follows, or close()."""
        self.moved = now()
        self.inlets.remove(inlet)
        self.count(self.reading - inlet.counted, self.window, self.out, self.making)
        if inlet.held:
            self.let_go(inlet)
        inlet.inflow = None
        inlet.answering = None
        self.pass_on()
        return 0

    # --- what the batch says

    cdef int update(self, Py_ssize_t out, Py_ssize_t window, Py_ssize_t making, Py_ssize_t message, bint full,
                    bint window_full, uint64_t next_out) except -1:
        """making: of the window. message: bytes at most of an answer that is one message and has not ended, or 0."""
        global finishing, ahead
        if out != self.out or window != self.window or next_out != self.next_out:
            self.moved = now()
        self.single = message > 0 and self.owner is not None
        self.message = message
        if finishing is self and (not self.single or not self.is_crowded(0)):
            finishing = None
        self.count(self.reading, window, out, making)
        self.full = full
        self.window_full = window_full
        self.next_out = next_out
        if ahead is self and (self.to_take or not self.goes_on or self.own() <= READ
                              or process_reading + process_out <= self.read_bound):
            ahead = None
        if full:
            self.pass_on()
        self.relieve(0)
        return wake_others()

    cdef int close(self) except -1:
        """The batch has ended; what the front has not taken of it still counts."""
        global finishing, ahead
        cdef Inlet inlet
        for inlet in list(self.inlets):
            self.ended(inlet)
        for line in lines:
            line.pop(self, None)
        if finishing is self:
            finishing = None
        if ahead is self:
            ahead = None
        self.kept.close()
        self.grant(0)
        self.owner = None
        self.single = False
        self.count(self.reading, self.window, self.out, self.making)
        return wake_others()

    cdef Py_ssize_t go_on(self, Kind kind, Py_ssize_t coming) except -1:
        """Goes on with what it waits for, if it may; bytes that this may bring before they are counted."""
        if kind == ON:
            return self.relieve(coming)
        if kind == START:
            if coming == 0 and self.may_start(self.owner.calls_running()):
                self.owner.room_to_write()
            return 0
        if not self.may_make(self.most, coming, kind == MAKE):
            return 0
        lines[kind].pop(self)
        self.grant(self.most)
        self.owner.room_to_write()
        return 0

    cdef int wait(self, Kind kind) except -1:
        lines[kind][self] = None
        return 0 if self.taker is None else pressure.watch(self.taker)

    cdef double waits_for_others(self, double since, double t) noexcept:
        """For how many seconds, in all; since: the last look at it. 0: not now, for its own client is to take first."""
        if self.to_take or self.out >= MUCH:          # `full` may be of results that wait for being made ready
            return 0
        self.waited += t - max(self.moved, since)
        return self.waited

    # --- who goes on

    cdef bint is_crowded(self, Py_ssize_t coming) noexcept:
        """Whether answers of the batch are read in turn with those of others. coming: bytes to those who are let go on."""
        return process_reading + process_out - self.promised + coming > self.read_bound

    cdef Py_ssize_t little(self, Py_ssize_t total) noexcept:
        """Bytes that the batch may hold and is small, while all hold so many: who comes later is to find room, too."""
        return max(READ, min(self.process_bound // LITTLE, (self.process_bound - total) // OF_FREE))

    cdef bint is_small(self, Py_ssize_t most, Py_ssize_t coming) noexcept:
        """Whether the batch holds little, so that it waits for the bound alone with so many bytes more."""
        cdef Py_ssize_t total = process_reading + process_out + coming + most
        if self.own() + most <= ONE_RESULT:
            return total <= self.beyond(most)
        return most <= MOST_OF_LITTLE and self.own() <= self.little(total) and total <= self.process_bound

    cdef bint is_small_with(self, Inlet inlet, Py_ssize_t coming) noexcept:
        """Whether it is that with all of an answer. One whose length is not known may be long: it is let begin."""
        cdef Py_ssize_t left = inlet.length - inlet.counted if inlet.length else READ
        cdef Py_ssize_t total = process_reading + process_out + coming + left
        if self.own() + left <= (READ if inlet.length else 2 * READ):
            return total <= self.beyond(left)
        return inlet.length > 0 and self.own() + left <= self.little(total) and total <= self.process_bound

    cdef Py_ssize_t beyond(self, Py_ssize_t more) noexcept:
        """Bytes up to which a batch goes on that holds little. No client takes with many batches what is left to others'."""
        return self.top_bound if self.origin.answers + more <= ONE_RESULT else self.most_bound

    cdef bint fits(self, Py_ssize_t most, Py_ssize_t coming) noexcept:
        return process_reading + process_out + coming + most <= self.full_bound

    cdef bint fits_or_exceeds(self, Py_ssize_t most, Py_ssize_t coming) noexcept:
        """Whether there is room, or one may go on without: the clients do not bring any soon, and nobody has just been let
        go."""
        return self.fits(most, coming) or (
            coming == 0 and process_granted == 0 and not is_much_to_take(self.process_bound))

    cdef bint makes_first(self) except -1:
        """Whether no result of another batch waits before one of this for being made ready."""
        return len(makers) == 0 or next(iter(makers)) is self

    cdef bint goes_ahead(self, Py_ssize_t most, Py_ssize_t coming) noexcept:
        """Whether it is the one that goes on above the marks, with so many bytes more: in its room, or alone without."""
        global ahead
        if (ahead is not None and ahead is not self) or not self.fits_or_exceeds(most, coming):
            return False
        ahead = self
        return True

    cdef int pass_on(self) noexcept:
        """Others are to go ahead, if there is room: without, they would all take some of what there is not."""
        global ahead
        if ahead is self and self.fits(0, 0):
            ahead = None
        return 0

    cdef bint finishes(self, Py_ssize_t coming) except -1:
        """Whether it is the one of those whose answer is one message that goes on to its end: nobody can take any of it
        before. Its client must not hold that up, and it takes no room from results that are only to be made ready."""
        global finishing
        cdef Py_ssize_t most = max(self.message - self.own(), 0)
        if finishing is None and self.may_end and self.makes_first() and self.fits_or_exceeds(most, coming):
            finishing = self
            self.count(self.reading, self.window, self.out, self.making)
        return finishing is self

    # --- results that wait for being made ready

    cdef bint may_write(self, Py_ssize_t most, bint leads) except -1:
        """Whether a result that becomes so many bytes at most may be made ready; if not, room_to_write() follows.

        leads: it reaches the client then, or another does that waits for it. One that would wait itself has to fit.
        """
        cdef Kind kind = MAKE if leads else BEHIND
        cdef bint granted = self.granted >= most
        self.grant(0)
        (behind if leads else makers).pop(self, None)
        if granted or self.may_make(most, 0, leads):
            (makers if leads else behind).pop(self, None)
            return True
        self.most = most
        self.wait(kind)
        return False

    cdef bint may_make(self, Py_ssize_t most, Py_ssize_t coming, bint leads) except -1:
        if finishing is self or self.is_small(most, coming):
            return True
        # What comes behind one that has no room must not take it away from that.
        if self.fits(most, coming) and (ahead is self or self.makes_first()):
            return True
        return leads and self.goes_ahead(most, coming)

    # --- starting

    cdef bint may_start(self, int running) except -1:
        """Whether the batch may start one more call; if not, room_to_write() follows. running: of its calls."""
        if self.taken_back and not self.may_return():
            self.wait(START)
            return False
        self.taken_back = False
        if finishing is not self and not self.kept.may_ask_again():
            self.wait(START)
            return False
        # What runs may bring as much as is read at once before it is counted.
        if (running == 0 and self.own() <= NEXT_TO_NOTHING) or (
                (not self.is_crowded(0) or self.finishes(0)) if self.single else
                (starts_freely(self.process_bound) or (running == 0 and self.goes_ahead(READ, 0)))):
            if len(starters):
                starters.pop(self, None)
            return True
        self.wait(START)
        return False

    cdef bint may_return(self) noexcept:
        """Whether answers that were given up may be asked for again: else they would only be given up again."""
        return finishing is self or ahead is self or not self.is_crowded(0) or (
            ahead is None and len(makers) == 0 and not is_much_to_take(self.process_bound))

    cdef bint ends_first(self) noexcept:
        """Whether others wait until it has ended."""
        return finishing is self

    cdef bint waits_to_start(self) noexcept:
        return self in starters

    # --- reading on

    cdef bint may_read(self, Inlet inlet, Py_ssize_t coming) except -1:
        """coming: bytes to others, who are let go on."""
        cdef bint crowded = finishing is not self and self.is_crowded(coming)
        cdef uint64_t number = inlet.answering.number
        if finishing is not self and not self.kept.may_keep(inlet.answering, inlet.length):
            self.wait(ON)
            return False
        if self.own() <= self.bound and (not crowded or self.is_small_with(inlet, coming)):
            return True
        if crowded:
            self.wait(ON)
        if self.full or inlet is not self.leader():
            return False
        # GW-23: what comes before it can end by itself, unless it has no connection because the others have them all.
        if (self.window_full or (crowded and not self.single)) and self.ordered and number != self.next_out \
                and not self.owner.may_overtake():
            self.pass_on()
            return False
        if not crowded:
            return True
        if self.single:
            return self.finishes(coming)
        # The one that goes on must not wait for others, which have no room.
        return (ahead is self or len(makers) == 0) and self.goes_ahead(READ, coming)

    cdef bint has_only_what_waits(self) noexcept:
        """Whether answers are all that runs, and those that would lead are not to be kept yet."""
        cdef Inlet inlet
        cdef bint waits = False
        for inlet in self.inlets:
            if not inlet.held:
                return False
            waits = waits or is_kept_out(inlet.answering)
        return waits

    cdef Inlet leader(self):
        """The one whose call is the earliest of those that may be read on."""
        cdef Inlet inlet, first = None
        for inlet in self.inlets:
            if inlet.held and is_kept_out(inlet.answering):
                continue
            if first is None or inlet.answering.number < first.answering.number:
                first = inlet
        return first

    cdef Py_ssize_t relieve(self, Py_ssize_t coming) except -1:
        """Lets those read on that may, the earliest first; bytes that they may bring at once."""
        cdef Py_ssize_t room, brought = 0
        cdef Inlet inlet
        if self.held == 0:
            return 0
        room = self.bound - self.own()
        for inlet in sorted(self.inlets, key=number_of):
            if not inlet.held:
                continue
            if not self.may_read(inlet, coming + brought):
                if is_kept_out(inlet.answering):
                    continue
                break
            self.let_go(inlet)
            brought += READ
            if brought >= room:
                break
        return brought

    cdef int hold(self, Inlet inlet) except -1:
        global process_held
        inlet.held = True
        self.held += 1
        process_held += self.held == 1
        inlet.left = inlet.answering.deadline - now()
        inlet.answering.deadline = self.batch_deadline
        return inlet.pause_reading()

    cdef int let_go(self, Inlet inlet) except -1:
        global process_held
        inlet.held = False
        self.held -= 1
        if self.held == 0:
            process_held -= 1
            readers.pop(self, None)
        inlet.answering.deadline = min(now() + max(inlet.left, 0.0), self.batch_deadline)
        return inlet.resume_reading()


def number_of(Inlet inlet not None):
    return inlet.answering.number
