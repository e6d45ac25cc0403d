# HTTP/1.1 as all fronts need it: see http1.pyx.
from batchwire.core.front.http1_answers cimport Http1Answers
from batchwire.core.front.http1_stream cimport Http1Stream

cdef class Http1Connection(Http1Answers):
    cdef object parser                      # httptools.HttpRequestParser
    cdef bytes url, content_type            # of the head that is being read
    cdef list fields
    cdef int hosts
    cdef bint coded                         # Transfer-Encoding names more than chunked
    cdef bint trailed                       # fields have come behind the body
    cdef bint head_open                     # no head is complete yet, or a further one has begun
    cdef bint shared_chunk                  # the end of another request came with the beginning of this head
    cdef bint upgrading                     # the head offers another protocol
    cdef Py_ssize_t head_bytes              # received while it is open; exact but for what comes behind another request
    cdef Py_ssize_t field_bytes             # of it, what has been parsed
    cdef Py_ssize_t unframed_bytes          # received since the last of a body: chunk sizes, extensions, trailers
    cdef bint deaf(self) noexcept
    cdef int take_in(self, bytes data) except -1
    cdef int take(self, bytes data) except -1
    cdef bytes parse(self, bytes data)
    cdef bytes without_upgrade(self)
    cdef int head_complete(self) except -1
    cdef int request(self, str version) except -1
    cdef bytes target(self)
    cdef int refuse_bytes(self) except -1
    cdef bint tell_damaged(self, Http1Stream stream) except -1
