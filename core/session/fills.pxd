from batchwire.core.model cimport Call
from batchwire.core.session.conductor cimport Conductor

cdef class Fills:
    """What references have put into the calls of one batch, in the sum of all batches of the process. See fills.pyx."""
    cdef Conductor batch                    # None: it has ended
    cdef Py_ssize_t bound                   # of the process
    cdef Py_ssize_t held                    # bytes that are counted for it
    cdef Py_ssize_t before                  # bytes that the call which was let in last had
    cdef Py_ssize_t wanted                  # bytes that it waits for
    cdef bint idle                          # it waits, and nothing else goes on in it
    cdef Call let_in                        # has been filled in though there was no room, and has not ended; or None
    cdef double since                       # from when it waits for room, monotonic seconds; 0: it does not

    @staticmethod
    cdef Fills of(Conductor batch, Py_ssize_t bound)
    cdef bint fits(self, Py_ssize_t wanted) noexcept
    cdef bint may_let_in(self) noexcept
    cdef int begin(self, Call call, Py_ssize_t wanted, Py_ssize_t before, bint fits) except -1
    cdef int end(self, Call call, Py_ssize_t after) except -1
    cdef int done(self, Call call) except -1
    cdef int count(self, Py_ssize_t more) except -1
    cdef int wait(self, Py_ssize_t wanted, bint idle) except -1
    cdef int leave(self) except -1
    cdef int pass_turn(self) except -1
    cdef int close(self) except -1
