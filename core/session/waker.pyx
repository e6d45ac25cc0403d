"""How a front learns that its session wants input or has output: by a call (in Cython) or by a future (in Python)."""

cdef class SessionListener:
    cdef int output_ready(self) except -1:
        """has_output() has become true."""
        raise NotImplementedError

    cdef int input_ready(self) except -1:
        """wants_input() has become true."""
        raise NotImplementedError

    cdef int64_t client_took(self) except -2:
        """Bytes that the client has taken of its connection, while that is what holds it up; else -1."""
        return -1

    cdef int give_up(self) except -1:
        """The client is too slow, and the session over: what it has not taken goes at once. Never raises."""
        raise NotImplementedError


cdef class Waker:
    @staticmethod
    cdef Waker of(object loop):
        cdef Waker made = Waker.__new__(Waker)
        made.loop = loop
        return made

    cdef object input_future(self):
        self.input_waiter = self.loop.create_future()
        return self.input_waiter

    cdef object output_future(self):
        self.output_waiter = self.loop.create_future()
        return self.output_waiter

    cdef bint is_input_awaited(self) noexcept:
        return self.input_waiter is not None or self.listener is not None

    cdef int wake_output(self) except -1:
        cdef object waiter = self.output_waiter
        if self.listener is not None:
            return self.listener.output_ready()
        if waiter is not None:
            self.output_waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return 0

    cdef int wake_input(self) except -1:
        cdef object waiter = self.input_waiter
        if self.listener is not None:
            return self.listener.input_ready()
        if waiter is not None:
            self.input_waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return 0
