from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.model cimport Buffer, Call, Refusal, Result
from batchwire.core.outbox cimport Outbox
from batchwire.core.pending cimport Pending
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.turns cimport Turns
from libc.stdint cimport uint64_t

cdef class SessionListener:
    """A front that is told by calls, in the place of wait_output() and wait_input(). Must not act at once."""
    cdef int output_ready(self) except -1
    cdef int input_ready(self) except -1

cdef bint too_slow(double waited, double got, double rate, double idle) noexcept

cdef class Session(Placement):
    cdef object loop
    cdef Reader reader
    cdef Writer writer
    cdef Plan plan
    cdef UrlRules rules
    cdef Outbox outbox
    cdef Inflow inflow                      # None: no answer has been large
    cdef Result own                         # for answers of the gateway's own
    # how the batch is to be run
    cdef bint strict, execute, continue_on_error
    cdef readonly bint ordered
    cdef Py_ssize_t threshold
    # where it stands
    cdef bint validating                    # GW-21: the document may still fit the threshold
    cdef bint opened                        # writer.begin() has been called
    cdef bint said                          # a result stands in the answer
    cdef bint stalled                       # reading stopped because a bound is reached
    cdef bint settling
    cdef Turns turns
    cdef double worked                      # seconds of work, about, since the last rest
    cdef bint resting                       # nothing is read or decided before turn()
    cdef bint stopped                       # MP-09: what is not decided yet gets no result
    cdef bint input_ended
    cdef uint64_t fed
    cdef uint64_t pending                   # calls admitted and not finished
    cdef Pending held                       # what they hold
    cdef uint64_t[8] counts                 # by Outcome
    cdef Refusal verdict                    # for every call that has not started: deadline or stop
    cdef readonly bint finished
    cdef readonly bint cancelled
    cdef readonly object failure            # EnvelopeError or None
    # request order (GW-23)
    cdef uint64_t next_out
    cdef dict held_back                     # number -> bytes
    cdef Py_ssize_t held_bytes
    cdef Buffer single
    # the front's side
    cdef object input_waiter
    cdef object output_waiter
    cdef SessionListener listener           # told in the place of the two, or None
    cdef object linger
    cdef object alarm                       # deadline timer
    cdef object watcher                     # idle timer
    cdef bint flush
    cdef bint pump_due                      # on_pump() runs before the loop waits again
    cdef double last_feed, last_take
    cdef double waited                      # seconds for the client's next bytes, up to the last that came
    cdef double input_since                 # since when they may come; 0: they may not
    cdef double offered                     # when there was output to take, after there was none
    cdef bint has_output(self) noexcept
    cdef bint wants_input(self) noexcept
    cdef int crashed(self, object error) except -1
    cdef int decide(self, Call call) except -1
    cdef list publish(self, Call call, Result result)
    cdef int spoil(self, Result result, object error) except -1
    cdef int pull(self) except -1
    cdef int take_options(self) except -1
    cdef int bound_messages(self, Py_ssize_t max_message, bint parts) except -1
    cdef int settle(self) except -1
    cdef int settle_group(self, Group group) except -1
    cdef int rest(self) except -1
    cdef int drop(self, Call call) except -1
    cdef int pass_over(self, Call call) except -1
    cdef int refused(self, Call call) except -1
    cdef int conclude(self, Call call, Result result) except -1
    cdef Py_ssize_t write(self, Call call, Result result) except -1
    cdef int emit(self, Call call, Result result) except -1
    cdef int open(self) except -1
    cdef int separate(self) except -1
    cdef int go_on(self) except -1
    cdef int check_end(self) except -1
    cdef int break_off(self, object error) except -1
    cdef bint slow(self, double t) noexcept
    cdef int end_early(self, Refusal running, Refusal rest) except -1
    cdef int stop_rest(self, Refusal verdict) except -1
    cdef int cut_idle(self) except -1
    cdef int output_added(self) except -1
    cdef int wake_output(self) except -1
    cdef int wake_input(self) except -1
    cdef int close(self) except -1
    cdef int tell_inflow(self) except -1
    cdef bint window_full(self) noexcept
    cdef bint output_full(self) noexcept
    cdef bint bodies_full(self) noexcept
    cdef bint stuck(self) except -1
    cdef int advance(self) except -1
