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

    cdef bint is_open(self) noexcept:
        """Whether its calls are read and started."""
        return False

    cdef bint is_stranded(self) noexcept:
        """Whether its client can do no more for it, and there is nothing in it that goes on by itself: whatever it counts,
        it would never end. Asked by timers alone: in between, nothing is under way but what is looked at here.
        """
        return False

    cdef int end_stranded(self) except -1:
        raise NotImplementedError

    cdef int break_off(self, object error) except -1:
        """The envelope is broken (GW-21): start nothing more, let what runs finish, end without an end."""
        raise NotImplementedError

    cdef int leave_untaken(self, object error) except -1:
        """What the client has not taken is gone, and `failure` says why."""
        raise NotImplementedError
