from batchwire.core.model cimport Buffer
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead
from batchwire.core.session.session cimport Session
from libc.stdint cimport uint64_t

cdef enum:
    ENDINGS = 5
    OUTCOMES_TOLD = 8
    BUCKETS = 16

cdef class Account:
    """All batches of one front and route. See ledger.pyx."""
    cdef readonly str front, route
    cdef bytes opening                      # the beginning of a batch's line
    cdef readonly long long running
    cdef uint64_t[ENDINGS] batches, received, sent
    cdef uint64_t[ENDINGS][OUTCOMES_TOLD] calls
    cdef uint64_t[BUCKETS + 1] lasted
    cdef double seconds

cdef class Batch:
    cdef readonly Session session           # None: it is closed
    cdef readonly str peer, trace
    cdef Account account
    cdef Ledger ledger
    cdef str client
    cdef double began
    cdef int stalled(self) except -1
    cpdef close(self, str ended=*)

cdef class Ledger:
    cdef readonly set batches
    cdef dict accounts
    cdef dict of_clients                    # client -> its running batches
    cdef Py_ssize_t most, most_of_client
    cdef object loop, write, say
    cdef public object on_idle
    cdef public bint draining
    cdef double share, due
    cdef Buffer line                        # lines that wait for others
    cdef bint due_lines                     # on_lines() will be called
    cpdef Batch open(self, Account account, Route route, str peer, str trace, BatchHead head)
    cdef int closed(self, Batch batch, int ending) except -1
    cpdef write_on(self)
    cdef bint is_told(self, int ending, uint64_t* calls, uint64_t admitted) noexcept
    cdef int write_line(self, Batch batch, int ending, uint64_t* calls, uint64_t admitted,
                        double elapsed) except -1
