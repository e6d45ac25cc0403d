# Bytes of answers that are being read, and who has to wait with reading. See inflow.pyx.
from batchwire.core.dispatch.kept_answers cimport KeptAnswers
from batchwire.core.model cimport Call
from batchwire.core.origin cimport Origin
from batchwire.core.pressure cimport Holder
from batchwire.core.upstream.base cimport CallOwner, Inlet
from libc.stdint cimport uint64_t

cdef enum Kind:               # in the order in which those that wait are let go on
    MAKE = 0                  # a result is made ready that reaches its client then, or lets another do so
    BEHIND = 1                # one is that would wait for earlier ones: it has to fit
    ON = 2                    # an answer is read on
    START = 3                 # a call is started

cdef bint starts_freely(Py_ssize_t process_bound) noexcept

cdef class Inflow:
    cdef CallOwner owner                    # None: the batch has ended
    cdef Origin origin                      # where the batch comes from
    cdef Py_ssize_t bound                   # of the batch
    cdef Py_ssize_t process_bound
    cdef Py_ssize_t read_bound              # of the process, above which only one answer is read on
    cdef Py_ssize_t full_bound              # of the process, above which neither is one read on nor a result made ready
    cdef Py_ssize_t most_bound              # of the process, up to which batches go on that hold one small answer
    cdef Py_ssize_t top_bound               # and of these the only ones of their origin
    cdef double batch_deadline              # monotonic seconds
    cdef Holder taker                       # of what the batch says is out; None: it had ended before it counted anything
    cdef double waited                      # seconds that it has waited for others, in all, as looked at now and then
    cdef double moved                       # monotonic seconds: when anything of the batch last came, ended or was taken
    cdef list inlets                        # those whose answers are counted
    cdef readonly int held                  # how many of them wait
    cdef Py_ssize_t reading                 # bytes of theirs
    # what the batch has said of itself
    cdef Py_ssize_t out                     # bytes of results that the front has not taken
    cdef Py_ssize_t window                  # bytes of results that wait for earlier ones (GW-23), for being written, or for the end
    cdef Py_ssize_t making                  # of the window: what results that are in the making become
    cdef Py_ssize_t message                 # bytes at most of an answer that is one message and has not ended; else 0
    cdef bint single                        # it is one
    cdef bint may_end                       # its request has come
    cdef Py_ssize_t promised                # bytes that it may still come to hold until it has ended, if it goes on to that
    cdef KeptAnswers kept                   # what calls take out of its answers
    cdef Py_ssize_t most                    # bytes that the result which waits for being made ready may become
    cdef Py_ssize_t granted                 # bytes that it has been let go on with, before its turn
    cdef bint taken_back                    # answers of it were given up for want of room, and are to be asked for again
    cdef bint goes_on                       # it has calls that run or are ready, or results to be made
    cdef bint to_take                       # the client is to take results before more are written
    cdef bint full                          # the front is to take results first
    cdef bint ordered                       # results leave in request order (GW-23)
    cdef bint window_full
    cdef uint64_t next_out                  # number of the earliest call without a result
    cdef int grew(self, Inlet inlet, Call call, Py_ssize_t size) except -1
    cdef int ended(self, Inlet inlet) except -1
    cdef int update(self, Py_ssize_t out, Py_ssize_t window, Py_ssize_t making, Py_ssize_t message, bint full,
                    bint window_full, uint64_t next_out) except -1
    cdef int close(self) except -1
    cdef int wait(self, Kind kind) except -1
    cdef double waits_for_others(self, double since, double t) noexcept
    cdef Py_ssize_t own(self) noexcept
    cdef void count(self, Py_ssize_t reading, Py_ssize_t window, Py_ssize_t out, Py_ssize_t making) noexcept
    cdef void grant(self, Py_ssize_t size) noexcept
    cdef Py_ssize_t go_on(self, Kind kind, Py_ssize_t coming) except -1
    cdef bint is_crowded(self, Py_ssize_t coming) noexcept
    cdef Py_ssize_t little(self, Py_ssize_t total) noexcept
    cdef bint is_small(self, Py_ssize_t most, Py_ssize_t coming) noexcept
    cdef bint is_small_with(self, Inlet inlet, Py_ssize_t coming) noexcept
    cdef Py_ssize_t beyond(self, Py_ssize_t more) noexcept
    cdef bint fits(self, Py_ssize_t most, Py_ssize_t coming) noexcept
    cdef bint fits_or_exceeds(self, Py_ssize_t most, Py_ssize_t coming) noexcept
    cdef bint makes_first(self) except -1
    cdef bint goes_ahead(self, Py_ssize_t most, Py_ssize_t coming) noexcept
    cdef int pass_on(self) noexcept
    cdef bint finishes(self, Py_ssize_t coming) except -1
    cdef bint may_write(self, Py_ssize_t most, bint leads) except -1
    cdef bint may_make(self, Py_ssize_t most, Py_ssize_t coming, bint leads) except -1
    cdef bint may_start(self, int running) except -1
    cdef bint may_return(self) noexcept
    cdef bint ends_first(self) noexcept
    cdef bint waits_to_start(self) noexcept
    cdef bint may_read(self, Inlet inlet, Py_ssize_t coming) except -1
    cdef bint has_only_what_waits(self) noexcept
    cdef Inlet leader(self)
    cdef Py_ssize_t relieve(self, Py_ssize_t coming) except -1
    cdef int hold(self, Inlet inlet) except -1
    cdef int let_go(self, Inlet inlet) except -1
