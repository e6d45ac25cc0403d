from batchwire.core.origin cimport Origin
from batchwire.core.pressure cimport Holder
from batchwire.core.session.conductor cimport Conductor

cdef class Share(Holder):
    """What one batch holds of its request, in the sum of all batches of the process. See crowd.pyx."""
    cdef Conductor batch                    # None: it has ended
    cdef Py_ssize_t held                    # bytes that are counted for it
    cdef Py_ssize_t bound                   # of the process
    cdef Origin origin                      # where its batch comes from
    cdef Py_ssize_t most                    # up to which batches go on that hold little
    cdef Py_ssize_t top                     # and of these the only ones of their origin
    cdef bint light                         # it began to wait as one of those
    cdef Py_ssize_t unpaid                  # bytes that have come since its client was last given leave to send
    cdef double brought                     # when its client last sent something
    cdef double chosen                      # when it was let go on as the only one, monotonic seconds
    cdef double waited                      # seconds that it has waited before, in all
    cdef double since                       # from when it waits for room, monotonic seconds; 0: it does not

    @staticmethod
    cdef Share of(Conductor batch, object loop, Origin origin, Py_ssize_t bound, double idle_seconds)
    cdef bint is_light(self) noexcept
    cdef bint fits(self, Py_ssize_t room) noexcept
    cdef int tell(self, Py_ssize_t held) except -1
    cdef bint may_read(self) except -1
    cdef int wait(self) except -1
    cdef void came(self, Py_ssize_t n, double t) noexcept
    cdef void gives_leave(self, double t) noexcept
    cdef void leaves_unread(self, Py_ssize_t n, double t) noexcept
    cdef bint has_leave(self) noexcept
    cdef double waits_for_others(self, double t) noexcept
    cdef int leave(self) except -1
    cdef int stand_down(self) except -1
    cdef int go_on(self) except -1
    cdef bint goes_on(self, double t) noexcept
    cdef int pass_on(self, Share other) except -1
    cdef int close(self) except -1

cdef Py_ssize_t held_by_all() noexcept
