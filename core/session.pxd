from batchwire.core.client_clock cimport ClientClock
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.model cimport Call, Refusal, Result
from batchwire.core.pending cimport Pending
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.result_stream cimport ResultStream
from batchwire.core.turns cimport Turns
from batchwire.core.waker cimport Waker
from libc.stdint cimport uint64_t

cdef class Session(Placement):
    cdef object loop
    cdef Reader reader
    cdef Plan plan
    cdef UrlRules rules
    cdef ResultStream results
    cdef ClientClock client
    cdef Waker waker
    cdef Inflow inflow                      # None: no answer has been large
    cdef Result own                         # for answers of the gateway's own
    # how the batch is to be run
    cdef bint strict, execute, continue_on_error
    cdef Py_ssize_t threshold
    cdef double answer_deadline             # seconds from the end of the request; 0: none
    # where it stands
    cdef bint validating                    # GW-21: the document may still fit the threshold
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
    # the front's side
    cdef object linger
    cdef object alarm                       # deadline timer
    cdef object watcher                     # idle timer
    cdef bint flush
    cdef bint pump_due                      # on_pump() runs before the loop waits again
    cdef bint has_output(self) noexcept
    cdef Py_ssize_t unsent(self) noexcept
    cdef bint wants_input(self) noexcept
    cdef int crashed(self, object error) except -1
    cdef int decide(self, Call call) except -1
    cdef list publish(self, Call call, Result result)
    cdef int pull(self) except -1
    cdef int take_options(self) except -1
    cdef int settle(self) except -1
    cdef int settle_group(self, Group group) except -1
    cdef int rest(self) except -1
    cdef int drop(self, Call call) except -1
    cdef int pass_over(self, Call call) except -1
    cdef int refused(self, Call call) except -1
    cdef int conclude(self, Call call, Result result) except -1
    cdef int end_by(self, double deadline) except -1
    cdef int go_on(self) except -1
    cdef int check_end(self) except -1
    cdef int break_off(self, object error) except -1
    cdef uint64_t tell(self, uint64_t* told) noexcept
    cdef uint64_t taken(self) noexcept
    cdef bint slow(self, double t) noexcept
    cdef int end_early(self, Refusal running, Refusal rest) except -1
    cdef int stop_rest(self, Refusal verdict) except -1
    cdef int cut_idle(self) except -1
    cdef int output_added(self) except -1
    cdef int wake_output(self) except -1
    cdef int wake_input(self) except -1
    cdef int close(self) except -1
    cdef int tell_inflow(self) except -1
    cdef bint output_full(self) noexcept
    cdef bint bodies_full(self) noexcept
    cdef bint stuck(self) except -1
    cdef int advance(self) except -1
