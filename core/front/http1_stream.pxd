# A request of HTTP/1.1, and how its answer is framed: see http1_stream.pyx.
from batchwire.core.front.connections cimport Connection
from batchwire.core.front.stream cimport Stream

cdef unsigned long long streams_open

cdef class Http1Link(Connection):
    """What a stream asks of its connection."""
    cdef bint lasts                         # it goes on behind the answers that are due
    cdef int schedule_flush(self) except -1
    cdef int continues(self, Http1Stream stream) except -1
    cdef int consumed(self, Http1Stream stream) except -1
    cdef int crashed(self, Http1Stream stream, object error) except -1

cdef class Http1Stream(Stream):
    cdef Http1Link link
    cdef Py_ssize_t weight                  # what its head counts for in a turn of the loop
    cdef bint keeps                         # the connection goes on behind this answer
    cdef bint filling                       # the handler has not said the end of its answer yet
    cdef bint complete                      # the whole answer has been filled in
    cdef bint broken                        # it ends without its end
    cdef bint crashed                       # an exception has ended it
    cdef bint bodiless                      # it has no body, whatever the handler says
    cdef bint chunked
    cdef bytes closing_field                # a trailer, with the end of its line, or None
    cdef Py_ssize_t left                    # of the Content-Length of the answer; -1: it has none
    cdef Py_ssize_t unconsumed              # bytes of the request
    cdef bint body_begun                    # some of the body has come
    cdef list waiting                       # what has come of the body before the stream's turn
    cdef int led                            # bytes of LEAD_LINE that are ahead of the answer
    cdef bint may_lead(self) except -1
    cdef int lead(self) except -1
    cdef int begin(self, str version) except -1
    cdef int put_head(self, int status, list headers, bint body) except -1
    cdef bint looks_whole(self) noexcept
    cdef bint fill_from_handler(self) except -1
    cdef int follow_lead(self, Py_ssize_t at, Py_ssize_t n) except -1
    cdef int frame(self, Py_ssize_t at, Py_ssize_t n, bint last) except -1
    cdef int close(self, bint whole) except -1
