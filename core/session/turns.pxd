from batchwire.core.origin cimport Origin
from batchwire.core.session.conductor cimport Conductor

cdef class Turns:
    """Batches of one loop that have more to do than is done in one go. See turns.pyx."""
    cdef object loop
    cdef list line                          # heap of (virtual seconds at which its turn begins, count, Conductor)
    cdef unsigned long long count           # turns that were asked for
    cdef unsigned long long period          # times that somebody began to wait while nobody did
    cdef double virtual                     # seconds
    cdef bint due                           # on_turn() will be called
    cdef double used                        # seconds that all batches have worked since on_turn() was called last
    cdef int add(self, Conductor batch, Origin origin, bint served) except -1

cdef class Slice:
    """How long a batch has worked since its last rest. See turns.pyx."""
    cdef Turns turns
    cdef Origin origin                      # where the batch comes from
    cdef bint resting                       # the batch has its turn() later, and does nothing long before
    cdef double worked                      # seconds, about
    cdef double before                      # and before all of its rests
    cdef double since                       # from when measure() counts, monotonic seconds
    cdef int asked                          # how often over() was asked since that rest, while tests force it

    @staticmethod
    cdef Slice of(object loop, Origin origin)
    cdef bint over(self) noexcept
    cdef bint over_for_much(self) noexcept
    cdef int rest(self, Conductor batch) except -1
    cdef void begin(self) noexcept
    cdef void measure(self) noexcept
    cdef void add(self, double seconds) noexcept
    cdef bint spend_since(self, double* since) noexcept
    cdef void reset(self) noexcept
