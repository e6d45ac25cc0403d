# What the connections of a listener have in common, whatever version of HTTP they speak: see connections.pyx.
from batchwire.core.front.stream cimport Stream
from batchwire.core.model cimport Buffer
from libc.stdint cimport int64_t

cdef enum:
    WRITE_BYTES = 262144      # the most that is made for one write, for a client that takes such at once
    # And in one turn of the loop for one connection: a client that reads as fast as this process writes has no end (PL-01).
    TURN_WRITTEN = 524288

cdef double LINGER_SECONDS    # for a client to read the last words and close

cdef class Connections:
    cdef readonly object loop
    cdef readonly set connections
    cdef readonly double head_seconds, idle_seconds
    cdef double sweep_seconds               # between two looks at all of them
    cdef object sweeper, emptied
    cdef int lost(self, Connection connection) except -1

cdef class Connection:
    cdef object loop
    cdef readonly object transport          # None: it is gone
    cdef Buffer out                         # what the next write sends
    cdef int fd                             # -1: only through the transport
    cdef bint handed_over                   # the transport may have something unsent
    cdef bint paused                        # the client takes nothing
    cdef bint delivering                    # it is paused until the transport has sent everything
    cdef bint closed, closing               # gone; nothing more is read or answered
    cdef double taken_at                    # when it was last seen to take something, from when it was paused
    cdef int64_t written                    # bytes in all
    cdef Py_ssize_t write_bytes             # the most that is made for the next write
    cdef Py_ssize_t sent_at_once            # bytes in whole writes, since that grew, or one was not whole
    cdef Py_ssize_t untaken_before          # bytes that it had to take at that look
    cdef int write(self) except -1
    cdef Py_ssize_t untaken(self) except -1
    cdef int64_t taken(self) except -2
    cdef int state_of_peer(self) except -1
    cdef bint is_delivered(self) except -1
    cdef int delivered(self) except -1
    cdef int begin_pause(self) except -1
    cdef bint takes(self, double t) except -1
    cdef int sweep(self, double t) except -1
    cdef int tell_stalled(self, Stream stream) except -1
    cdef int failed(self, object error) except -1
