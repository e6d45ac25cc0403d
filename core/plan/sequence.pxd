cdef class Sequence:
    """Calls and groups that run one after the other. See sequence.pyx."""
    cdef object line                        # deque of what has not finished; the first one has its turn
    cdef bint join(self, object item) except -1
    cdef object leave(self)
