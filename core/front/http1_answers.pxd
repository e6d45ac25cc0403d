# The answers of a connection of HTTP/1.1, and its end: see http1_answers.pyx.
from batchwire.core.front.http1_acceptor cimport Http1Acceptor
from batchwire.core.front.http1_stream cimport Http1Link, Http1Stream
from batchwire.core.front.stream cimport Ends

cdef enum:
    LONG_READ = 131072        # bytes, of which a turn of the loop bears one: more are to come
    TURN_BYTES = 65536        # of heads, answered or parsed behind others in one turn of the loop (PL-01)

cdef unsigned long long connections_open

cdef class Http1Answers(Http1Link):
    cdef Http1Acceptor acceptor
    cdef Ends ends
    cdef Http1Stream current                # is being answered, or None
    cdef Http1Stream newest                 # the one whose body comes, or came last
    cdef object waiting                     # deque of Http1Stream whose turn comes later
    cdef bytes backlog                      # read and not parsed
    cdef bytes refusal                      # what is said once all requests before it are answered, or None
    cdef bint ended                         # nothing is answered any more
    cdef bint half_closed                   # the client has said all that it will ever say
    cdef bint reading                       # the transport reads
    cdef bint rests                         # nothing more is read in this turn of the loop
    cdef bint flush_due, receiving, flushing
    cdef bint continue_due                  # 100 Continue is to be said unless the body comes with the head
    cdef bint unsettled                     # the handler of `current` has not been told on_settled()
    cdef bint head_begun                    # some bytes of a head that is not complete have come
    cdef bint probed                        # 100 Continue was said to see whether the client still reads
    cdef double probe_after                 # when a byte of an answer may be sent for that again
    cdef double head_since                  # when the client's time for a head began; 0: it has not
    cdef double idle_since                  # when the last answer ended; 0: there was none
    cdef double received
    cdef object linger_timer, prober
    cdef int begin_probes(self) except -1
    cdef int probe_answer(self) except -1
    cdef bint look_at_peer(self) except -1
    cdef int flush(self) except -1
    cdef int flush_soon(self) except -1
    cdef int end_receiving(self) except -1
    cdef int fill(self, Http1Stream stream) except -1
    cdef int begin(self, Http1Stream stream) except -1
    cdef int settle_handler(self, Http1Stream stream) except -1
    cdef int finish(self, Http1Stream stream) except -1
    cdef int rest(self) except -1
    cdef int look_at_reading(self) except -1
    cdef int drop(self, Http1Stream stream) except -1
    cdef int drop_newest(self) except -1
    cdef int reset(self) except -1
    cdef int refuse(self, bytes words) except -1
    cdef int end_with(self, bytes words) except -1
    cdef int end_broken(self) except -1
    cdef int end_whole(self, Http1Stream stream) except -1
    cdef int linger(self) except -1
    cdef int start_linger_timer(self, double stuck) except -1
    cdef int stop_timers(self) except -1

cdef bytes final_answer(int status, str code, str message)
