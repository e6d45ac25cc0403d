"""How calls come into a batch: bytes to its reader, calls from there into its plan, where they are counted.

A document that may be checked whole (GW-21) is read to its end before anything in it counts as checked(). Must never
read on by itself: the session asks for each step.
"""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.faults cimport fault
from batchwire.core.model cimport Call
from batchwire.core.session.client_clock cimport ClientClock
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum:
    INPUT_HIGH = 262144       # unread bytes above which the front is asked to wait
    SEARCHED = 524288         # bytes of a body that are searched between two looks at the clock
    LARGE = 4096              # bytes of a call that is no trifle to read


cdef class Intake:
    @staticmethod
    cdef Intake of(Reader reader, Plan plan, Pending pending, Slice slice, Limits limits, Py_ssize_t threshold,
                   Writer writer):
        cdef Intake made = Intake.__new__(Intake)
        made.reader = reader
        made.plan = plan
        made.pending = pending
        made.slice = slice
        made.limits = limits
        made.threshold = threshold
        made.writer = writer
        made.validating = threshold > 0
        return made

    cdef int feed(self, bytes data) except -1:
        """Takes bytes of the request. Raises EnvelopeError where the batch has become too large."""
        self.fed += PyBytes_GET_SIZE(data)
        if self.limits.max_request_bytes and self.fed > self.limits.max_request_bytes:
            raise self.limits.batch_too_large()
        if self.validating and self.fed > <uint64_t>self.threshold:
            self.validating = False
        fault("feed")
        return self.reader.feed(data)

    cdef int end(self) except -1:
        """The request is complete."""
        self.ended = True
        fault("feed_end")
        return self.reader.finish()

    cdef Step step(self) except? STEP_NONE:
        """Reads one call more, or goes on with the one that was read last. Raises EnvelopeError."""
        cdef Reader reader = self.reader
        cdef Call call
        cdef bint admitted
        call = self.plan.searched()
        if call is not None:
            admitted = self.plan.search_on(SEARCHED)
            if admitted and call.charged:                      # else it has its result
                self.pending.charge_again(call)                # with the references that were found
            self.slice.measure()
            return STEP_CALL if admitted else STEP_PART
        if self.unread is not None:
            admitted = reader.read_on(self.unread)
            self.slice.measure()
            if not admitted:
                return STEP_PART
            call = self.unread
            self.unread = None
            return self.admit(call)
        fault("reader")
        call = reader.next_call()
        if call is None:
            if reader.ended:
                self.end_of_calls()
            return STEP_NONE
        if reader.calls == 1:
            self.options = reader.take_options()
        if self.limits.max_calls and reader.calls > self.limits.max_calls:
            raise self.limits.too_many_calls()
        if call.undoing is not None:
            self.unread = call
            return STEP_PART
        return self.admit(call)

    cdef Step admit(self, Call call) except? STEP_NONE:
        """The call has been read."""
        cdef bint admitted
        self.limits.refuse_long_url(call)
        fault("plan.admit")
        admitted = self.plan.admit(call)
        self.pending.charge(call)
        self.writer.expect(call)
        if self.reader.calls & 15 == 0 or call.charged + call.body_len > LARGE:
            self.slice.measure()
        return STEP_CALL if admitted else STEP_PART

    cdef int end_of_calls(self) except -1:
        self.options = self.reader.take_options()
        self.validating = False
        return self.plan.end_of_calls()

    cdef bint must_go_on(self) noexcept:
        """Whether reading must go on whatever the batch holds: what must be checked whole is bounded by its own size."""
        return self.validating or self.reader.holding or self.plan.searched() is not None or self.plan.holding_group()

    cdef bint checked(self) noexcept:
        """Whether the calls that have been read may run."""
        return not self.validating and not self.reader.holding

    cdef bint wants_bytes(self) noexcept:
        """Whether the front should give it more as soon as there are any."""
        return not self.waits or self.reader.buffered() < INPUT_HIGH

    cdef bint whole(self) noexcept:
        """Whether all calls of the batch have been read."""
        return self.reader.ended

    cdef Py_ssize_t held(self) noexcept:
        """Bytes of the request that have come and are no part of an admitted call."""
        return self.ahead + self.reader.buffered() + (0 if self.unread is None or self.unread.undoing is None
                                                      else (<Steps>self.unread.undoing).held())

    cdef bint holds_group(self) noexcept:
        """Whether calls wait for what comes behind them in their group."""
        return self.plan.holding_group()

    cdef bint comes_slowly(self, ClientClock client, double t) noexcept:
        """FR-05; of whole messages the front sees the pace."""
        return not self.ended and not self.reader.takes_messages and client.is_slow(
            t, self.fed, self.plan.admitted, self.limits.min_request_rate, self.limits.client_idle_seconds)

    cdef int skip_check(self) except -1:
        """What is still read is not checked whole: the batch has no time left, or holds all that it may."""
        self.validating = False
        return 0
