from batchwire.core.dialects.steps cimport Steps
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.model cimport Call, Refusal, Result
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.late_result cimport LateResult
from batchwire.core.session.outlet cimport Outlet
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.turns cimport Slice
from libc.stdint cimport uint64_t

cdef enum Course:
    COURSE_ON = 0             # calls run
    COURSE_STOPPED = 1        # what has not started gets the verdict
    COURSE_SILENT = 2         # MP-09: what has not started gets no result

cdef class Settler:
    """Gives the calls of a batch their results. See settler.pyx."""
    cdef Plan plan
    cdef Placement dispatch
    cdef Pending pending
    cdef Bounds bounds
    cdef Fills fills
    cdef Slice slice
    cdef ResultStream results
    cdef Outlet outlet
    cdef UrlRules rules
    cdef Result own                         # for answers of the gateway's own, or None
    cdef Course course                      # only ever goes down the list
    cdef Refusal verdict                    # of COURSE_STOPPED and COURSE_SILENT
    cdef bint continue_on_error
    cdef bint stops_silently                # of the dialect
    cdef object told                        # deque of (Call, Result): of requests that carried several, not yet concluded
    cdef LateResult first_told              # the first of them, while it is made ready, or None
    cdef list late                          # heap of (number or -1: goes first, count, LateResult), or None
    cdef uint64_t late_count                # of those that there have been
    cdef uint64_t lost                      # calls whose results nobody wrote
    cdef uint64_t[8] counts                 # by Outcome

    @staticmethod
    cdef Settler of(Plan plan, Placement dispatch, Pending pending, Bounds bounds, Fills fills, Slice slice,
                    ResultStream results, Outlet outlet, UrlRules rules, bint continue_on_error, bint stops_silently)
    cdef Result own_result(self)
    cdef int refuse(self, Call call) except -1
    cdef int drop(self, Call call) except -1
    cdef int pass_over(self, Call call) except -1
    cdef int give(self, Call call, Result result, double t, bint goes_on) except -1
    cdef bint write(self, bint goes_on) except -1
    cdef int put_late(self, LateResult late, bint first) except -1
    cdef int take_late(self) except -1
    cdef bint may_make(self, LateResult late) except -1
    cdef bint step(self, LateResult late) except -1
    cdef int conclude_late(self, LateResult late, double t, bint goes_on) except -1
    cdef int tell_first_late(self) except -1
    cdef bint is_writing(self) noexcept
    cdef int close(self) except -1
    cdef int conclude(self, Call call, Result result, double t) except -1
    cdef int split(self, Call bulk, Result result, bint goes_on, Steps reading) except -1
    cdef bint may_conclude_first(self) except -1
    cdef int begin_first(self) except -1
    cdef int conclude_first(self) except -1
    cdef int conclude_told(self) except -1
    cdef uint64_t unwritten(self) noexcept
    cdef int finish(self, Call call, Result result, bint succeeded, double t) except -1
    cdef int stop(self, Refusal verdict) except -1
    cdef int clear(self) except -1
    cdef int go_on_after_errors(self, bint wanted) except -1
    cdef uint64_t tell(self, uint64_t* told) noexcept

    cdef inline bint has_told(self) noexcept:
        """Whether results of requests that carried several calls are there, and wait for conclude_first()."""
        return len(self.told) > 0
