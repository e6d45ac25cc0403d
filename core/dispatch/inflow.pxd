# Bytes of answers that are being read, and who has to wait with reading. See inflow.pyx.
from batchwire.core.model cimport Call
from batchwire.core.upstream.base cimport CallOwner, Inlet
from libc.stdint cimport uint64_t

cdef class Inflow:
    cdef CallOwner owner                    # None: the batch has ended
    cdef Py_ssize_t bound                   # of the batch
    cdef Py_ssize_t process_bound
    cdef Py_ssize_t read_bound              # of the process, above which only one answer is read on
    cdef Py_ssize_t full_bound              # of the process, above which neither is one read on nor a result made ready
    cdef double batch_deadline              # monotonic seconds
    cdef double moved                       # monotonic seconds: when anything of the batch last came, ended or was taken
    cdef list inlets                        # those whose answers are counted
    cdef readonly int held                  # how many of them wait
    cdef Py_ssize_t reading                 # bytes of theirs
    # what the batch has said of itself
    cdef Py_ssize_t out                     # bytes of results that the front has not taken
    cdef Py_ssize_t window                  # bytes of results that wait for earlier ones (GW-23), for being written, or for the end
    cdef Py_ssize_t making                  # of the window: what results that are in the making become
    cdef Py_ssize_t most                    # bytes that the result which waits for being written may become
    cdef bint full                          # the front is to take results first
    cdef bint window_full
    cdef uint64_t next_out                  # number of the earliest call without a result
    cdef int grew(self, Inlet inlet, Call call, Py_ssize_t size) except -1
    cdef int ended(self, Inlet inlet) except -1
    cdef int update(self, Py_ssize_t out, Py_ssize_t window, Py_ssize_t making, bint full, bint window_full,
                    uint64_t next_out) except -1
    cdef int relieve(self) except -1
    cdef int close(self) except -1
    cdef bint may_write(self, Py_ssize_t most) except -1
    cdef bint has_room(self) noexcept
    cdef bint holds_little(self) noexcept
    cdef bint has_room_to_read(self) noexcept
    cdef bint may_read(self, Inlet inlet) except -1
    cdef Inlet leader(self)
    cdef int hold(self, Inlet inlet) except -1
    cdef int let_go(self, Inlet inlet) except -1
