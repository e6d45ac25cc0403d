# What all gRPC methods of the native front have in common: see rpc.pyx.
from batchwire.core.alarms cimport Alarm
from batchwire.core.front.grpc_messages cimport MessageReader
from batchwire.core.front.http2_stream cimport Http2Stream
from batchwire.core.front.nghttp2 cimport nghttp2_nv
from batchwire.core.front.room cimport Room
from batchwire.core.front.unpacking cimport Backlog, MessageTaker

cdef enum:
    LEAD = 160                # bytes that may stand before a message's own: its prefix and an HttpBody's fields

cdef enum Status:             # those that the front gives itself; others come from the servicer
    STATUS_OK = 0
    STATUS_DEADLINE_EXCEEDED = 4
    STATUS_RESOURCE_EXHAUSTED = 8
    STATUS_UNIMPLEMENTED = 12

cdef class Rpc(MessageTaker):
    cdef object servicer                        # see rpc.pyx
    cdef MessageReader reader
    cdef int coding                         # windowBits of grpc-encoding, 0: identity
    cdef Backlog backlog                    # None: no message was compressed
    cdef bint half_closed                   # there are no more messages behind the backlog
    cdef object flaw                        # what is wrong behind it (EnvelopeError), or None
    cdef double timeout                     # seconds, of grpc-timeout; -1: none
    cdef double began
    cdef Alarm alarm                        # of the deadline, or None
    cdef Py_ssize_t held                    # bytes of the request that are not consumed yet
    cdef Py_ssize_t stored                  # bytes of an unfinished message
    cdef Room room                          # of these and of the backlog; None: there was nothing yet
    cdef double message_began               # when the unfinished message began; 0: there is none
    cdef bint done                          # its status is decided
    cdef bint deaf                          # nothing more of the request is read
    # the message that is being sent
    cdef char[LEAD] lead
    cdef int lead_size, lead_at
    cdef bytes out
    cdef Py_ssize_t out_at
    cdef list more                          # bytes that follow it, the last first; or None
    cdef Py_ssize_t more_bytes              # how many they are
    cdef bytes status, detail, details      # of the trailers: grpc-status, grpc-message, grpc-status-details-bin
    cdef int expect(self, object servicer, Py_ssize_t max_message) except -1
    cdef Http2Stream http2(self)
    cdef int begin(self, Http2Stream stream) except -1
    cdef int on_half_close(self) except -1
    cdef bint may_feed(self) except -1
    cdef bint passes_over_empty(self) except -1
    cdef bint reads_no_more(self) except -1
    cdef Room new_room(self)
    cdef bint may_take(self) except -1
    cdef int leave_room(self) except -1
    cdef bint next_piece(self) except -1
    cdef bint at_end(self) except -1
    cdef int on_gone(self, bint cancelled) except -1
    cdef int send(self, object message) except -1
    cdef int put_out(self, object pieces) except -1
    cdef Py_ssize_t left_out(self) noexcept
    cdef int answer(self) except -1
    cdef int set_status(self, int code, str message, bytes details) except -1
    cdef int end_input(self, object error) except -1
    cdef int fail(self, object error) except -1
    cdef int release(self) except -1
    cdef bint waits(self) noexcept
    cdef int drop(self) except -1
    cdef int proceed(self) except -1
    cdef int refuse(self, object error) except -1
    cdef bint store(self) except -1
    cdef list initial_headers(self)
    cdef int start_alarm(self, double seconds) except -1
    cdef int stop_alarm(self) except -1
    cdef size_t status_fields(self, nghttp2_nv* fields) except 0
    cdef int put_trailers(self) except -1
    cdef int trailers_only(self) except -1
    cdef int on_time_out(self) except -1
