from batchwire.core.session.conductor cimport Conductor

cdef class Slice:
    """How long a batch has worked since its last rest. See turns.pyx."""
    cdef double worked                      # seconds, about
    cdef double since                       # from when measure() counts, monotonic seconds
    cdef bint over(self) noexcept
    cdef void begin(self) noexcept
    cdef void measure(self) noexcept
    cdef void add(self, double seconds) noexcept
    cdef bint spend_since(self, double* since) noexcept
    cdef void reset(self) noexcept

cdef class Turns:
    """Batches of one loop that have more to do than is done in one go. See turns.pyx."""
    cdef object loop
    cdef object line                        # deque of Conductor
    cdef bint due                           # on_turn() will be called
    cdef int add(self, Conductor batch) except -1

cdef Turns turns_of(object loop)
