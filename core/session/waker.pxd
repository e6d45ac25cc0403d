from libc.stdint cimport int64_t

cdef class SessionListener:
    """A front that is told by calls, in the place of wait_output() and wait_input(). Must not act at once."""
    cdef int output_ready(self) except -1
    cdef int input_ready(self) except -1
    cdef int64_t client_took(self) except -2
    cdef int give_up(self) except -1


cdef class Waker:
    """Tells the front of a session that it may go on: its listener, or whoever waits for a future. See waker.pyx."""
    cdef object loop
    cdef SessionListener listener           # or None
    cdef SessionListener front              # who has what was taken for the client, until that has it all; or None
    cdef object input_waiter                # future, or None
    cdef object output_waiter

    @staticmethod
    cdef Waker of(object loop)
    cdef object input_future(self)
    cdef object output_future(self)
    cdef bint is_input_awaited(self) noexcept
    cdef int wake_input(self) except -1
    cdef int wake_output(self) except -1
