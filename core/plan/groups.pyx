"""Atomicity groups and change sets. A group of one runs as it is; a larger one runs as one request to an upstream
with transactions, or not at all (GW-04).

Must never let a member of a group of several run on its own.
"""
from batchwire.core.model cimport Call, OUTCOME_REFUSED, Refusal

cdef Refusal NO_TRANSACTION = Refusal(
    501, "AtomicityNotSupported",
    "the upstream cannot run several calls as one transaction, so none of the group was run (if it takes OData batches itself, "
    "say so with the key batch of the upstream: \"json\" or \"multipart\")", OUTCOME_REFUSED)


cdef Refusal no_transaction(str why=None):
    """What members of a group get that no upstream runs as one (GW-04 c). why: what is in the way, where that is not the
    upstream alone (ER-05)."""
    if why is None:
        return NO_TRANSACTION
    return Refusal(
        501, "AtomicityNotSupported",
        f"the calls of the group cannot be run as one transaction, so none of them was run: {why}", OUTCOME_REFUSED)


cdef class Group:
    def __init__(self, bytes name not None, bint collect):
        self.name = name
        self.members = [] if collect else None
        self.turn = True

    cdef bint finished(self) noexcept:
        return self.closed and self.unfinished == 0

    cdef bint together(self) noexcept:
        """Whether its members are decided as one."""
        return self.members is not None and self.size > 1

    cdef int fail_members(self, Refusal why) except -1:
        """Refuses each member that has no refusal of its own."""
        cdef Call call
        for call in self.members:
            if call.refusal is None:
                call.refusal = why
        return 0

    cdef set ids(self):
        """Of the members; asked for when there are no more to come."""
        cdef Call call
        if self.names is None:
            self.names = {call.id for call in self.members}
        return self.names
