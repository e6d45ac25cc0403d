from batchwire.core.front.stream cimport Handler
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.session cimport Session

cdef class Room(Conductor):
    """What a front holds of one request that no batch has been fed with. See room.pyx."""
    cdef Handler handler                    # None: closed
    cdef Session session                    # which counts it; None before there is one
    cdef Share share                        # which counts it until then, or None: there was nothing yet
    cdef Py_ssize_t bound                   # of the process
    cdef Py_ssize_t held                    # bytes
    cdef bint too_slow                      # it has to make way

    @staticmethod
    cdef Room of(Handler handler, Py_ssize_t bound)
    cdef int hold(self, Py_ssize_t held) except -1
    cdef bint may_take(self) except -1
    cdef int leaves_unread(self, Py_ssize_t n) except -1
    cdef bint waits(self) noexcept
    cdef int hold_up(self) except -1
    cdef int part(self, Py_ssize_t held) except -1
    cdef int hand_over(self, Session session) except -1
    cdef object flaw(self, double t)
    cdef Py_ssize_t stuck(self) noexcept
    cdef int make_way(self) except -1
    cdef int close(self) except -1
