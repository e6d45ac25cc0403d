from batchwire.core.alarms cimport Alarm
from batchwire.core.dialects.base cimport BatchOptions, Summary
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.model cimport Call, Refusal, Result
from batchwire.core.pressure cimport Holder
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead
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
from batchwire.core.session.waker cimport SessionListener, Waker
from libc.stdint cimport uint64_t

cdef enum Life:
    # From each of these to any below it, and never back.
    LIFE_OPEN = 0             # calls are read, decided and started
    LIFE_BROKEN = 1           # `failure` is there: nothing is read or started any more, what runs may finish
    LIFE_COMPLETE = 2         # every call has its result; the answer has its end
    LIFE_CUT = 3              # after LIFE_BROKEN, or where it had to end at once: the answer ends without its end
    LIFE_CANCELLED = 4        # what has not been taken of the answer is gone

cdef class Session(Conductor):
    """One batch in flight. See session.pyx."""
    cdef object loop
    cdef Limits limits
    cdef Life life
    cdef readonly object failure            # EnvelopeError or None: why it is broken, cut, or was cancelled by itself
    cdef double answer_deadline             # seconds from the end of the request; 0: none
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
    cdef object watcher                     # idle timer, or None
    cdef int begin(self, object loop, Route route, BatchHead head) except -1
    cpdef feed(self, bytes data)
    cpdef feed_end(self)
    cdef bint worked(self, double seconds) except -1
    cdef object take_chunk(self, bint keeps)
    cpdef check_idle(self)
    cdef void sum_up(self, Summary* summary) noexcept
    cdef int listen(self, SessionListener listener) except -1
    cdef bint is_over(self) noexcept
    cdef bint was_cancelled(self) noexcept
    cdef bint has_output(self) noexcept
    cdef bint wants_input(self) noexcept
    cdef bint may_unpack(self, Py_ssize_t ahead) except -1
    cdef int hold(self, Py_ssize_t ahead) except -1
    cdef int take_over(self, Share before) except -1
    cdef Py_ssize_t unsent(self) noexcept
    cdef uint64_t taken(self) noexcept
    cdef uint64_t fed(self) noexcept
    cdef uint64_t tell(self, uint64_t* told) noexcept
    cdef int client_takes(self, double t) except -1
    cdef int front_keeps(self, Py_ssize_t n) except -1
    cdef int stalled(self) except -1
    cdef int leave_untaken(self, object error) except -1
    cdef int answered_by(self, SessionListener front) except -1
    cdef int release_taker(self) except -1
    cdef int drive(self) except -1
    cdef int read(self) except -1
    cdef bint may_read_on(self) noexcept
    cdef bint is_stranded(self) noexcept
    cdef int end_stranded(self) except -1
    cdef int count(self) except -1
    cdef int settle(self) except -1
    cdef int write(self) except -1
    cdef int start(self) except -1
    cdef int rest(self) except -1
    cdef int drive_soon(self) except -1
    cdef int apply(self, BatchOptions options) except -1
    cdef int end_by(self, double deadline) except -1
    cdef int end_early(self, Refusal running, Refusal rest) except -1
    cdef int break_off(self, object error) except -1
    cdef int check_end(self) except -1
    cdef int close(self, Life life) except -1
    cdef int cut_idle(self) except -1
    cdef bint holds_all(self) noexcept
    cdef Py_ssize_t stuck(self) noexcept
    cdef int make_way(self) except -1
    cdef Holder taker(self)
    cdef int give_up(self) except -1
    cdef int wake_input(self) except -1
