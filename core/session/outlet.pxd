from batchwire.core.session.client_clock cimport ClientClock
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.waker cimport Waker
from libc.stdint cimport uint64_t

cdef class Outlet:
    """What of the answer the front is to take, and when it is told so. See outlet.pyx."""
    cdef Conductor batch                    # None: it has ended
    cdef object loop
    cdef ResultStream results
    cdef ClientClock client
    cdef Waker waker
    cdef bint ready                         # there is something worth sending
    cdef object linger                      # timer, or None

    @staticmethod
    cdef Outlet of(Conductor batch, object loop, ResultStream results, ClientClock client, Waker waker)
    cdef int added(self, double t, int running, uint64_t pending) except -1
    cdef object take(self, uint64_t pending)
    cdef int offer(self) except -1
    cdef int end(self) except -1
    cdef bint is_behind(self) except -1
    cdef int stop_timer(self) except -1
