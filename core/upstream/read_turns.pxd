from batchwire.core.upstream.base cimport Inlet

cdef class ReadTurns:
    """See read_turns.pyx."""
    cdef object loop
    cdef object line                        # deque of Inlet: those that rest, the first first
    cdef Py_ssize_t read                    # bytes that have come since on_turn() was called last
    cdef bint due                           # on_turn() will be called
    cdef int spend(self, Inlet inlet, Py_ssize_t n) except -1

cdef ReadTurns read_turns_of(object loop)
