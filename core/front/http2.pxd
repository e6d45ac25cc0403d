# HTTP/2 as the native front needs it. How the classes are used stands in http2.pyx.
from batchwire.core.front.connections cimport Connections
from batchwire.core.front.guard cimport Guard
from batchwire.core.front.http2_stream cimport Http2Link, Http2Stream
from batchwire.core.front.nghttp2 cimport (
    nghttp2_data_source_read_callback, nghttp2_option, nghttp2_session_callbacks,
)
from batchwire.core.front.stream cimport Ends, Handler
from libc.stdint cimport int32_t, uint32_t

cdef enum:
    HEAD_BYTES = 512          # what a request counts for besides its head, and again when its body begins
    CHUNK_BYTES = 256         # what a frame of a body counts for

cdef class Acceptor(Connections):
    """What connections have in common: bounds, and who answers a stream."""
    cdef int max_streams, stream_window, connection_window
    cdef Py_ssize_t max_header_bytes
    cdef double keepalive_seconds, keepalive_timeout, ping_seconds
    cdef double request_rate
    cdef Py_ssize_t request_bound
    cdef double connection_seconds
    cdef object calm_log
    cdef Handler accept(self, Http2Stream stream)

cdef class Http2Connection(Http2Link):
    cdef Acceptor acceptor
    cdef Ends ends
    cdef dict streams                       # id -> Stream
    cdef list left                          # streams that have ended, the last words of which may not be sent yet
    cdef dict rests                         # id -> when its answer ended, of those whose rest is read away
    cdef list new_handlers                       # handlers made in this read
    cdef Guard guard
    cdef bytes backlog                      # read and waiting for its turn, or None
    cdef Py_ssize_t spent                   # in this turn, see TURN_BYTES
    cdef bint cut_short                     # this turn has ended before the bytes
    cdef bint flush_due, backlog_due, receiving, flushing
    cdef bint refusing                      # a GOAWAY was sent: no more streams are taken
    cdef int32_t last_taken                 # the last stream that is answered, while it refuses
    cdef bint half_closed                   # the client has said all that it will ever say
    cdef double heads_since                 # when an unfinished header section began; 0: none
    cdef double received, pinged
    cdef double ends_at                     # when it takes no more streams; 0: not before the other side ends it
    cdef double lingers_since               # when the last word was said; 0: not yet
    cdef object finisher, prober, rest_timer
    cdef int begin(self) except -1
    cdef int take_in(self, bytes data) except -1
    cdef int keep_back(self, bytes rest) except -1
    cdef int spend(self, Py_ssize_t n) noexcept
    cdef int open(self, int32_t stream_id) except -1
    cdef int request(self, Http2Stream stream) except -1
    cdef int flush(self) except -1
    cdef int hear_out(self, Http2Stream stream) except -1
    cdef int go_away(self, uint32_t code, bytes why) except -1
    cdef int refuse_new_streams(self, bytes why) except -1
    cdef int goaway_enhance_your_calm(self, bytes why) except -1
    cdef int close_left(self) except -1
    cdef int check_end(self) except -1

cdef int use(nghttp2_session_callbacks* made, nghttp2_option* chosen, nghttp2_data_source_read_callback read) except -1
