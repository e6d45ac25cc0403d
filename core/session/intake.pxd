from batchwire.core.dialects.base cimport BatchOptions, Reader, Writer
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.model cimport Call
from batchwire.core.plan.order cimport Plan
from batchwire.core.session.client_clock cimport ClientClock
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.turns cimport Slice
from libc.stdint cimport uint64_t

cdef enum Step:
    STEP_NONE = 0             # more bytes are needed, or there are no more calls
    STEP_CALL = 1             # a call was read, and admitted
    STEP_PART = 2             # a call was read, and it is not known yet what it refers to

cdef class Intake:
    """How calls come into a batch. See intake.pyx."""
    cdef Reader reader
    cdef Plan plan
    cdef Pending pending
    cdef Slice slice
    cdef Limits limits
    cdef Py_ssize_t threshold               # bytes of a document up to which it is checked whole; 0: it is not
    cdef bint validating                    # GW-21: it may still fit the threshold
    cdef bint waits                         # reading has stopped at a bound
    cdef bint ended                         # no more bytes come
    cdef Writer writer                      # is told which results it will have to write
    cdef uint64_t fed                       # bytes
    cdef Py_ssize_t ahead                   # bytes that the front has for it, and is unpacking
    cdef Call unread                        # whose body is still to be decoded, or None
    cdef BatchOptions options               # what has been read of them and not been applied yet, or None

    @staticmethod
    cdef Intake of(Reader reader, Plan plan, Pending pending, Slice slice, Limits limits, Py_ssize_t threshold,
                   Writer writer)
    cdef int feed(self, bytes data) except -1
    cdef int end(self) except -1
    cdef Step step(self) except? STEP_NONE
    cdef Step admit(self, Call call) except? STEP_NONE
    cdef int end_of_calls(self) except -1
    cdef bint must_go_on(self) noexcept
    cdef bint checked(self) noexcept
    cdef bint wants_bytes(self) noexcept
    cdef bint whole(self) noexcept
    cdef Py_ssize_t held(self) noexcept
    cdef bint holds_group(self) noexcept
    cdef bint comes_slowly(self, ClientClock client, double t) noexcept
    cdef int skip_check(self) except -1
