from batchwire.core.pressure cimport Holder
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.waker cimport Waker
from libc.stdint cimport int64_t

cdef class Taker(Holder):
    """The client of a batch, as the one who takes the answer. See taker.pyx."""
    cdef Conductor batch                    # None: it is over, and no front has anything of it
    cdef ResultStream results
    cdef Waker waker
    # at the last look:
    cdef int64_t passed                     # bytes of the answer that the front had passed on
    cdef int64_t of_connection              # bytes that the client had taken of a connection that held it up; -1: it did not

    @staticmethod
    cdef Taker of(Conductor batch, object loop, ResultStream results, Waker waker, double idle_seconds)
