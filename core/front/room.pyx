"""What a front holds of one request that no batch has been fed with: the unfinished message, and what waits before it.

It counts as what batches hold does (PL-13), before there is a batch and behind one. Above the bound of the process the
client gets no more credit; its handler hears by on_input() when it may.
"""
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.front.stream cimport Ends, Stream
from batchwire.core.model cimport now
from batchwire.core.session.watch import no_room


cdef class Room(Conductor):
    @staticmethod
    cdef Room of(Handler handler, Py_ssize_t bound):
        cdef Room made = Room.__new__(Room)
        made.handler = handler
        made.bound = bound
        return made

    cdef int hold(self, Py_ssize_t held) except -1:
        """So many bytes are held now."""
        cdef Py_ssize_t more = held - self.held
        cdef Ends ends
        if more == 0 or self.handler is None:
            return 0
        self.held = held
        if self.session is not None:
            return self.session.hold(held)
        if self.share is None:
            ends = self.handler.stream.ends
            self.share = Share.of(self, ends.loop, ends.origin, self.bound, ends.idle_seconds)
        if more > 0:
            self.share.came(more, now())
        return self.share.tell(held)

    cdef bint may_take(self) except -1:
        """Whether the client may send more; if not, on_input() of the handler follows."""
        cdef bint waited
        if self.session is not None:
            # A batch that is not given credit for what it holds itself says so by wants_input() alone.
            return self.session.may_unpack(self.held) if self.held else self.session.wants_input()
        if self.share is None:
            return True
        waited = self.waits()
        if not self.share.may_read():
            return False
        if waited:
            self.handler.last_activity = now()    # it was not idle: it might send nothing
        self.share.gives_leave(now())
        return True

    cdef int leaves_unread(self, Py_ssize_t n) except -1:
        """Behind may_take(): so many bytes that have come are still to be taken, before which the client gets no credit."""
        cdef Share share = self.share if self.session is None else self.session.share
        if share is not None:
            share.leaves_unread(n, now())
        return 0

    cdef int hold_up(self) except -1:
        """The client is not asked for more until may_take()."""
        cdef Share share = self.share if self.session is None else self.session.share
        if share is not None:
            share.pace.stop(now())
        return 0

    cdef bint waits(self) noexcept:
        """Whether it waits for others, where there is no batch yet."""
        return self.share is not None and self.share.since > 0

    cdef int hand_over(self, Session session) except -1:
        """The batch counts it from now on. Before it is fed, or it would wait for a turn that is its own."""
        cdef Share before = self.share
        self.session = session
        self.share = None
        self.held = 0                     # of which the batch knows nothing yet
        return 0 if before is None else session.take_over(before)

    cdef object flaw(self, double t):
        """The EnvelopeError that a request without a batch is to end with: it has waited in vain, or others wait for it
        in vain. None: it goes on. Of a batch its session says so."""
        cdef double idle
        if self.share is None or self.handler is None:
            return None
        idle = self.handler.stream.ends.idle_seconds
        if self.too_slow:
            return EnvelopeError(408, "ClientTooSlow", "the message comes too slowly, and others wait for it")
        if self.share.since > 0 and t - self.share.since >= idle:
            return no_room(f"the message was not read on for {idle:g} s")
        return None

    cdef int part(self, Py_ssize_t held) except -1:
        """The request is over, and so many bytes are still held of it: they count until close(), and wait for nobody."""
        cdef Share alone = None
        cdef Ends ends
        if self.handler is None:
            return 0
        if held > 0:
            ends = self.handler.stream.ends
            alone = Share.of(None, ends.loop, ends.origin, self.bound, ends.idle_seconds)
            alone.tell(held)
        self.close()
        self.share = alone
        return 0

    cdef int close(self) except -1:
        """Nothing is held any more."""
        if self.session is not None:
            self.hold(0)
        if self.share is not None:
            self.share.close()
            self.share = None
        self.held = 0
        self.handler = None
        self.session = None
        return 0

    # --- the side of the others

    cdef Py_ssize_t stuck(self) noexcept:
        return self.held

    cdef int make_way(self) except -1:
        cdef Handler handler = self.handler
        cdef Stream stream = handler.stream
        self.too_slow = True
        try:
            fault("front.make_way")
            handler.on_sweep(now())           # which asks for the flaw
        except Exception as error:
            stream.fail(error)
        return 0

    cdef int rest(self) except -1:
        # Whoever lets bytes go may be in the middle of another.
        self.handler.stream.ends.loop.call_soon(self.on_turn)
        return 0

    def on_turn(self):
        """It may go on, or another has come first."""
        cdef Handler handler = self.handler
        if handler is not None:
            handler.input_ready()
