# A request of HTTP/2, and what it asks of its connection: see http2_stream.pyx.
from batchwire.core.front.connections cimport Connection
from batchwire.core.front.nghttp2 cimport nghttp2_data_source_read_callback, nghttp2_nv, nghttp2_session
from batchwire.core.front.stream cimport Stream
from libc.stdint cimport int32_t, uint32_t

cdef enum:
    NARROW = 65535            # bytes of a stream's window at first (RFC 9113 6.9.2)

cdef unsigned long long streams_open

cdef class Http2Link(Connection):
    """What a stream asks of its connection."""
    cdef nghttp2_session* session
    cdef nghttp2_data_source_read_callback read     # with which nghttp2 takes what a stream has to say
    cdef Py_ssize_t max_header_bytes
    cdef double request_rate                # bytes a second at least of a message that has begun (FR-05), 0: any
    cdef Py_ssize_t request_bound           # bytes of requests in the process (PL-13)
    cdef int stream_window                  # bytes, of a stream for which there is room
    cdef Py_ssize_t stored                  # bytes of unfinished messages, of all its streams
    cdef int long_calls                     # streams of methods in Python that last (FR-15)
    cdef int schedule_flush(self) except -1

cdef class Http2Stream(Stream):
    cdef Http2Link connection
    cdef int32_t id
    cdef Py_ssize_t header_bytes
    cdef double began                       # seconds, monotonic: when its head began to come
    cdef bint heads_done                    # the request's header section is complete
    cdef bint body_begun                    # some of its body has been handed over
    cdef Py_ssize_t used                    # bytes of the body that have been consumed
    cdef bint wide                          # its window has been widened
    cdef Py_ssize_t rest                    # bytes that the client may still send of a request that is answered
    cdef int begin(self, Http2Link connection, int32_t stream_id) except -1
    cdef int respond(self, const nghttp2_nv* fields, size_t n, bint body) except -1
    cdef int trailers(self, const nghttp2_nv* fields, size_t n) except -1
    cdef int reset(self, uint32_t code) except -1
    cdef int widen(self) except -1
    cdef int add(self, const char* name, size_t name_len, const char* value, size_t value_len) except -1
    cdef int close(self, uint32_t code) except -1

cdef void field(nghttp2_nv* nv, const char* name, size_t name_len, const char* value, size_t value_len) noexcept
cdef int accepted(int code) except -1
