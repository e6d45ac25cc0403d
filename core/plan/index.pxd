from batchwire.core.model cimport Call
from libc.stdint cimport uint64_t

cdef enum FoundKind:
    FOUND_NOTHING = 0
    FOUND_CALL = 1            # unfinished: `found` is the Call
    FOUND_GROUP = 2           # unfinished: `found` is the Group
    FOUND_DONE_CALL = 3       # finished: `succeeded`, `status`
    FOUND_DONE_GROUP = 4

cdef struct Entry:
    uint64_t hash             # 0: empty
    uint64_t payload

cdef struct Shard:
    Entry* entries
    uint64_t capacity
    uint64_t used

cdef class CallIndex:
    cdef Shard shards[64]
    cdef uint64_t seed
    # the answer of the last find()
    cdef object found
    cdef bint succeeded
    cdef int status
    cdef Entry* slot(self, uint64_t hash, uint64_t check) noexcept
    cdef int find(self, bytes name) except -1
    cdef int insert(self, bytes name, object pending, bint group) except -1
    cdef int finish(self, bytes name, bint group, int status, bint succeeded) except -1
    cdef int grow(self, Shard* shard) except -1
    cdef uint64_t check_of(self, bytes name) noexcept
