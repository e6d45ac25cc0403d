from batchwire.core.alarms cimport Alarm
from batchwire.core.dialects.base cimport BatchOptions, Summary
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.model cimport Call, Refusal, Result
from batchwire.core.pressure cimport Holder
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.client_clock cimport ClientClock
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.decider cimport Decider
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.intake cimport Intake
from batchwire.core.session.outlet cimport Outlet
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport Settler
from batchwire.core.session.taker cimport Taker
from batchwire.core.session.turns cimport Slice
from batchwire.core.session.waker cimport Waker
from batchwire.core.session.watch cimport Watch
from libc.stdint cimport uint64_t

cdef enum Life:
    # From each of these to any below it, and never back.
    LIFE_OPEN = 0             # calls are read, decided and started
    LIFE_BROKEN = 1           # `failure` is there: nothing is read or started any more, what runs may finish
    LIFE_COMPLETE = 2         # every call has its result; the answer has its end
    LIFE_CUT = 3              # after LIFE_BROKEN, or where it had to end at once: the answer ends without its end
    LIFE_CANCELLED = 4        # what has not been taken of the answer is gone

cdef class Batch(Conductor):
    """One batch in flight: its parts, and its life. See batch.pyx."""
    cdef object loop
    cdef Limits limits
    cdef Life life
    cdef readonly object failure            # EnvelopeError or None: why it is broken, cut, or was cancelled by itself
    # its parts
    cdef Inheritance inheritance
    cdef Intake intake
    cdef Pending pending
    cdef Bounds bounds
    cdef Decider decider
    cdef Settler settler
    cdef Placement dispatch
    cdef ResultStream results
    cdef readonly Outlet outlet
    cdef ClientClock client
    cdef Waker waker
    cdef Slice slice
    cdef Share share
    cdef Fills fills
    cdef Taker its_taker                    # None: no answer has been large
    # what it waits for
    cdef bint drive_due                     # on_drive() will be called
    cdef Alarm alarm                        # of the deadline, or None
    cdef Watch watch                        # or None: nobody has asked for it
    cdef int opened(self) except -1
    cpdef cancel(self)
    cdef int drop(self) except -1
    cdef int check_end(self) except -1
    cdef int close(self, Life life) except -1
    cdef int wake_input(self) except -1
    cdef int drive(self) except -1
    cdef int read(self) except -1
    cdef bint may_read_on(self) noexcept
    cdef int count(self) except -1
    cdef int settle(self) except -1
    cdef int write(self) except -1
    cdef int start(self) except -1
    cdef int drive_soon(self) except -1
    cdef int apply(self, BatchOptions options) except -1
    cdef int end_by(self, double deadline) except -1
    cdef int end_early(self, Refusal running, Refusal rest) except -1
    cdef int release_taker(self) except -1
    cdef void sum_up(self, Summary* summary) noexcept
    cdef uint64_t tell(self, uint64_t* told) noexcept
    cdef bint wants_input(self) noexcept

    cdef inline bint is_over(self) noexcept:
        return self.life >= LIFE_COMPLETE

    cdef inline bint was_cancelled(self) noexcept:
        return self.life == LIFE_CANCELLED
