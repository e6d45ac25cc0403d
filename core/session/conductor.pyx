"""The interface between the parts of a batch and its session, so that none of them has to know it."""
from batchwire.core.model cimport Call, Result
from batchwire.core.pressure cimport Holder


cdef class Conductor:
    cdef int finished_call(self, Call call, Result result, double t) except -1:
        """A call that was handed to an upstream has its result, at the time t (seconds, monotonic)."""
        raise NotImplementedError

    cdef int crashed(self, object error) except -1:
        """The gateway failed in the middle of the batch, which must end visibly and harm no other. Never raises."""
        raise NotImplementedError

    cdef int rest(self) except -1:
        """turn() is to come."""
        raise NotImplementedError

    cdef int turn(self) except -1:
        """Goes on after a rest (turns.pyx). Never raises."""
        raise NotImplementedError

    cdef Py_ssize_t stuck(self) noexcept:
        """Bytes of its request that are held because its client has not sent the rest: asked where others wait for room,
        and not it."""
        return 0

    cdef int make_way(self) except -1:
        """Ends, because its client sends too slowly while others wait (PL-13). Never raises."""
        raise NotImplementedError

    cdef Holder taker(self):
        """Who holds what its client has not taken."""
        raise NotImplementedError

    cdef int give_up(self) except -1:
        """Ends, because its client takes too slowly while others wait (AN-16). Never raises."""
        raise NotImplementedError
