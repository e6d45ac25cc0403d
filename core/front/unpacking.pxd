# Messages of a gRPC call that are still to be unpacked, and who takes them: see unpacking.pyx.
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.front.stream cimport Handler
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.turns cimport Slice

cdef class MessageTaker(Handler):
    """What takes the messages of a call."""
    cdef int on_message(self, bytes message) except -1
    cdef int hold(self, Py_ssize_t held) except -1
    cdef bint may_unpack(self, Py_ssize_t held) except -1

cdef class Inflating(Steps):
    """A message that is being unpacked."""
    cdef object stream                      # zlib's
    cdef bytes packed, tail                 # the whole; what zlib has been given of it and has not used
    cdef int window_bits                    # of zlib
    cdef Py_ssize_t at                      # bytes of `packed` that zlib has been given
    cdef Py_ssize_t given                   # bytes of it that zlib is given at once
    cdef Py_ssize_t limit
    cdef bytes room                         # what has been unpacked is put into it
    cdef Py_ssize_t size                    # of that
    cdef readonly bytes message             # in plain, when step() has returned True
    cpdef bint step(self) except -1
    cdef Py_ssize_t held(self) noexcept

cdef class Backlog(Conductor):
    """Messages of one call that wait for being unpacked, or for one that does."""
    cdef MessageTaker taker                 # None: nobody wants them any more
    cdef int coding                         # windowBits of zlib, 0: identity
    cdef Py_ssize_t limit                   # bytes of a message
    cdef Slice slice
    cdef object messages                    # deque of (compressed, message)
    cdef Py_ssize_t bytes                   # of these
    cdef Inflating inflating                # or None
    cdef bint busy                          # go_on() is running

    @staticmethod
    cdef Backlog of(MessageTaker taker, int coding, Py_ssize_t limit)
    cdef int put(self, bint compressed, bytes message) except -1
    cdef bint empty(self) noexcept
    cdef Py_ssize_t held(self) noexcept
    cdef int go_on(self) except -1
    cdef int hand_over(self, bytes message) except -1
    cdef int close(self) except -1
