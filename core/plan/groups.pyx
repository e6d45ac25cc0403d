"""Atomicity groups. A group of one runs as it is; a larger one needs an upstream with transactions (GW-04).

Must never let a member of a group of several run on its own.
"""


cdef class Group:
    def __init__(self, bytes name not None):
        self.name = name

    cdef bint finished(self) noexcept:
        return self.closed and self.unfinished == 0
