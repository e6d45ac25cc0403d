from batchwire.core.origin cimport Origin
from batchwire.core.route cimport Route
from batchwire.core.session.batch cimport Batch
from batchwire.core.session.batch_head cimport BatchHead
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.waker cimport SessionListener
from batchwire.core.session.watch cimport Watch
from libc.stdint cimport uint64_t

cdef class Session(Batch):
    """One batch in flight, as a front has it. See session.pyx."""
    cdef double answer_deadline             # seconds from the end of the request; 0: none
    cdef int begin(self, object loop, Route route, BatchHead head, Origin origin) except -1
    cpdef feed(self, bytes data)
    cpdef feed_end(self)
    cdef int hears(self) except -1
    cdef bint rests_before_much(self) except -1
    cdef bint worked(self, double seconds) except -1
    cdef object take_chunk(self, bint keeps)
    cpdef check_idle(self)
    cdef int listen(self, SessionListener listener) except -1
    cdef bint has_output(self) noexcept
    cdef bint may_unpack(self, Py_ssize_t ahead) except -1
    cdef int hold(self, Py_ssize_t ahead) except -1
    cdef int take_over(self, Share before) except -1
    cdef Py_ssize_t unsent(self) noexcept
    cdef uint64_t taken(self) noexcept
    cdef uint64_t fed(self) noexcept
    cdef int client_takes(self, double t) except -1
    cdef int front_keeps(self, Py_ssize_t n) except -1
    cdef int stalled(self) except -1
    cdef int answered_by(self, SessionListener front) except -1
    cdef Watch new_watch(self)
