"""How much of the requests of all batches may be in memory at once (PL-13).

Above the bound of the process a batch reads no more of its request while it holds SMALL itself. One that holds more than
MIDDLING does not from 3/4 of the bound on, and those that hold less than SMALL do up to half as much again, so that there is
room for who comes later; where all of their origin hold no more than that, up to twice the bound, so that no client takes
that room with many batches. Who holds less than LITTLE goes on in any case. But one, which has the turn, goes on until it
holds less, has ended, or there is room again. So the batches never all wait for one another, and a small one for none.

What is let go is for the one that holds least. Of those that hold more than MIDDLING one after the other goes on, each
when the one before it has ended, waits again or does not make use of it: were room spread over all, none would come to
its end, nor show that its client is slow. The turn is in turn for the one that has waited longest and for that one, or
else the one that holds least. While they wait for long, the slow are cut (pressure.pyx).

Must never call into a batch at once: whoever lets bytes go may be in the middle of another.
"""
from batchwire.core.memory cimport Tide
from batchwire.core.model cimport now
from batchwire.core.origin cimport Origin
from batchwire.core.pace cimport Pace
from batchwire.core.pressure cimport patience_of, Pressure

cdef enum:
    LITTLE = 65536            # bytes that a batch may hold in any case
    SMALL = 262144            # that it may hold and go on beyond the bound
    MIDDLING = 1048576        # that it may hold and go on up to the bound itself
    SPARE = 4                 # the bound divided by it is left to those
    BEYOND = 2                # the bound divided by it is what these may have more
    READ = 262144             # that one which goes on may bring at once
    LEAVE = 16384             # that any client may send before it is held back: of a window of HTTP/2 at least half is open

cdef double UNUSED = 0.1      # seconds without a byte, after which one that may go on lets another, too
cdef double ALONE = 1.0       # seconds that it has before in any case

cdef Py_ssize_t process_held = 0
cdef Tide tide = Tide()
cdef dict waiting = {}        # Share -> None: the first first
cdef Share turn = None        # whose batch goes on though it does not fit
cdef Share favourite = None   # the one that was let go on last of those that hold more than MIDDLING
cdef Py_ssize_t lights = 0    # of those that wait
cdef bint favoured = False    # whether the last turn was not for the one that had waited longest


def stats():
    """Debug counters: bytes of requests that batches hold, and batches that wait for room."""
    return {"request_held": process_held, "request_waiting": len(waiting)}


cdef Py_ssize_t held_by_all() noexcept:
    """Bytes that count now."""
    return process_held


cdef Share least():
    """The one of those that wait that holds least, of those that are light if there are any; of several the first."""
    cdef Share share, found = None
    cdef bint light, lightest = False
    for share in waiting:
        light = share.is_light()
        if found is None or light > lightest or (light == lightest and share.held < found.held):
            found = share
            lightest = light
    return found


cdef int wake_others() except -1:
    """Lets batches read on that may."""
    global favourite
    cdef Share share
    cdef Py_ssize_t room = 0
    cdef double t = now()
    cdef bint busy
    if turn is not None and process_held - turn.held > (turn.top if lights else turn.most):
        return 0                          # nobody fits, which is what most calls find while there are many
    busy = favourite is not None and favourite.goes_on(t)
    while waiting:
        share = least()
        if not share.fits(room):
            return give_turn(share) if turn is None and room == 0 and not busy else 0
        if share.held > MIDDLING:
            if busy:
                return 0
            busy = True
            favourite = share
            share.chosen = share.brought = t
        room += READ
        share.go_on()
    return 0


cdef int give_turn(Share share) except -1:
    """There is no room for any of those that wait. share: that holds least."""
    global turn, favoured
    favoured = not favoured
    if not favoured:
        share = next(iter(waiting))
    elif favourite is not None and favourite in waiting:
        share = favourite
    if share.held >= LITTLE:              # else it may go on without, and might have nothing to give the turn back by
        turn = share
    return share.go_on()


cdef class Waiters(Pressure):
    cdef double longest_wait(self, double t) except -2:
        cdef Share share
        cdef double longest = -1
        for share in waiting:
            longest = max(longest, share.waits_for_others(t))
        return longest

    cdef int look(self) except -1:
        return wake_others()


cdef Waiters pressure = Waiters()


cdef class Share(Holder):
    @staticmethod
    cdef Share of(Conductor batch, object loop, Origin origin, Py_ssize_t bound, double idle_seconds):
        """bound: bytes. idle_seconds: see patience_of()."""
        cdef Share made = Share.__new__(Share)
        made.batch = batch
        made.loop = loop
        made.bound = bound
        made.origin = origin
        made.most = bound + bound // BEYOND
        made.top = 2 * bound
        made.patience = patience_of(idle_seconds)
        made.pace = Pace()
        return made

    def __dealloc__(self):
        global process_held
        process_held -= self.held
        if self.origin is not None:
            self.origin.requests -= self.held

    cdef bint is_light(self) noexcept:
        """Whether all batches of its origin hold little together."""
        return self.origin.requests <= SMALL

    cdef bint fits(self, Py_ssize_t room) noexcept:
        """Whether it may go on, as any may that fits. room: bytes given to others just now."""
        if self.held > MIDDLING:
            return process_held + room <= self.bound - self.bound // SPARE
        # What goes on beyond the bound must not take up what is left to these.
        return process_held + room - (0 if turn is None or turn is self else turn.held) <= (
            self.bound if self.held > SMALL else self.top if self.is_light() else self.most)

    cdef int tell(self, Py_ssize_t held) except -1:
        """What the batch holds now."""
        global process_held, turn
        cdef Py_ssize_t before = self.held
        process_held += held - before
        self.origin.requests += held - before
        self.held = held
        tide.tell(process_held)
        pressure.tell(self, held, before)
        if turn is self and (held < LITTLE or self.fits(0)):
            turn = None
        return wake_others() if waiting else 0

    cdef bint may_read(self) except -1:
        """Whether the batch may read on; if not, rest() of the batch is called when it may."""
        global turn
        if self.held < LITTLE or turn is self:
            pass
        elif self.since > 0 and self in waiting:
            return False                  # others may come before it
        elif self.fits(0):
            pass
        elif turn is None and not waiting:
            turn = self
        else:
            self.wait()
            if turn is None:
                wake_others()             # those that were let go on may have needed no room
            return False
        if self.since > 0:
            self.leave()
        return True

    cdef int wait(self) except -1:
        global lights
        if self not in waiting:
            self.light = self.is_light()
            lights += self.light
            waiting[self] = None
        if self.since == 0:
            self.since = now()
            if not self.has_leave():
                self.pace.stop(self.since)
            return pressure.watch(self)
        return 0

    cdef int leave(self) except -1:
        """The batch waits no more."""
        if self.since > 0:
            self.waited += now() - self.since
        self.since = 0
        return self.stand_down()

    cdef int stand_down(self) except -1:
        global lights
        if self in waiting:
            del waiting[self]
            lights -= self.light
        return 0

    cdef int go_on(self) except -1:
        """It may read on, or try to."""
        self.stand_down()
        return self.batch.rest()

    cdef bint goes_on(self, double t) noexcept:
        """Whether it makes use of having been let go on, and others are to wait for that."""
        return self.batch is not None and self not in waiting and t - self.brought < UNUSED and t - self.chosen < ALONE

    cdef int pass_on(self, Share other) except -1:
        """The other one counts from now on what the batch holds, and has the turn if this one had it."""
        global turn
        if turn is self and other.batch is not None:
            turn = other                  # which tells what it holds before it lets others go on
        return self.close()

    cdef int close(self) except -1:
        """It has ended."""
        global turn, favourite
        self.batch = None
        self.leave()
        if turn is self:
            turn = None
        if favourite is self:
            favourite = None
        return self.tell(0)

    # --- what its client may send, as fronts give it leave to

    cdef void came(self, Py_ssize_t n, double t) noexcept:
        """n bytes more."""
        self.pace.bytes += n
        self.unpaid += n
        self.brought = t
        if self.since > 0 and not self.has_leave():
            self.pace.stop(t)

    cdef void gives_leave(self, double t) noexcept:
        """The client may send as much more as has come."""
        self.unpaid = 0
        self.pace.turn(t)

    cdef void leaves_unread(self, Py_ssize_t n, double t) noexcept:
        """The client has leave but for so many bytes that have come and that nobody has taken."""
        self.unpaid = n
        if not self.has_leave():
            self.pace.stop(t)

    cdef bint has_leave(self) noexcept:
        """Whether the client could send more though the batch waits: it would, were it fast."""
        return self.unpaid < LEAVE

    # --- while others wait

    cdef Py_ssize_t stuck(self) noexcept:
        return 0 if self.batch is None else self.batch.stuck()

    cdef double waits_for_others(self, double t) noexcept:
        """For how many seconds, in all; 0: not now, for its own client has not sent what it may."""
        return 0 if self.pace.since > 0 and self.stuck() else self.waited + t - self.since

    cdef int make_way(self) except -1:
        return 0 if self.batch is None else self.batch.make_way()
