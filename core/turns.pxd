from batchwire.core.dispatch.dispatcher cimport Dispatcher

cdef double SLICE

cdef class Turns:
    """Batches of one loop that have more to do than is done in one go. See turns.pyx."""
    cdef object loop
    cdef object line                        # deque of Dispatcher
    cdef bint due                           # on_turn() will be called
    cdef int add(self, Dispatcher batch) except -1

cdef Turns turns_of(object loop)
