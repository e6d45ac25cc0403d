from batchwire.core.model cimport Call, Refusal
from libc.stdint cimport uint64_t

cdef class Group:
    """An atomicity group: adjacent calls that succeed or fail together (JB-13, JB-15)."""
    cdef readonly bytes name
    cdef readonly uint64_t size             # members seen
    cdef uint64_t unfinished
    cdef readonly bint closed               # the next call is of another group, or the batch has ended
    cdef bint failed
    cdef Call first                         # not collected: held until it is known whether it stays alone
    cdef list members                       # collected: held until all of them may run as one; else None
    cdef uint64_t ready                     # members that wait for nothing outside of the group
    cdef Py_ssize_t held_bytes              # of the members' bodies
    cdef bint turn                          # nothing before it in a sequence is unfinished
    cdef list dependents
    cdef uint64_t judged                    # members that have been judged, of those that are decided as one
    cdef uint64_t filled                    # and filled in
    cdef Refusal verdict                    # of the first one that cannot run
    cdef uint64_t placed                    # and given to their upstream
    cdef object encoding                    # upstream.native.base.Encoding: the request that is to run it, unfinished
    cdef Call bulk                          # that request
    cdef set names                          # ids of its members; None: not asked for yet
    cdef bint finished(self) noexcept
    cdef bint together(self) noexcept
    cdef int fail_members(self, Refusal why) except -1
    cdef set ids(self)

cdef Refusal no_transaction(str why=*)

cdef inline Group spoken_for(Call call):
    """The group that is to be decided as one when this call comes out of Plan.decided, or None."""
    cdef Group group = call.group_state
    return group if group is not None and group.together() else None
