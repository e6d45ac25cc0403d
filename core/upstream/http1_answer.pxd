from batchwire.core.model cimport Buffer, Result

cdef enum AnswerState:
    ANSWER_HEAD = 0
    ANSWER_LENGTH = 1         # body of a known length
    ANSWER_CHUNK_SIZE = 2
    ANSWER_CHUNK_DATA = 3
    ANSWER_CHUNK_END = 4
    ANSWER_TRAILERS = 5
    ANSWER_UNTIL_CLOSE = 6
    ANSWER_DONE = 7
    ANSWER_BROKEN = 8

# What Connection names is of this hop only (RFC 9110 7.6.1).
cdef void drop_named(Result result) noexcept nogil

cdef class Answer:
    """Incremental reader of one HTTP/1.1 answer into a Result; no I/O."""
    cdef readonly int state
    cdef readonly bint keep_alive
    cdef readonly bint begun                # at least one byte of the answer has come
    cdef readonly str why                   # ANSWER_BROKEN: what is wrong, for the error message
    cdef readonly bint excess               # ANSWER_BROKEN: only a bound of ours; the result has what was read of the head
    cdef readonly Result result
    cdef bint no_body                       # HEAD
    cdef Py_ssize_t max_head
    cdef Py_ssize_t max_body
    cdef bytes held                         # an incomplete head or chunk line
    cdef bytes body                         # preallocated body of a known length
    cdef Py_ssize_t filled
    cdef Py_ssize_t left                    # of the current chunk
    cdef Buffer gathered
    cdef Py_ssize_t interim_bytes           # of the heads with 1xx that have been skipped
    cdef Py_ssize_t trailer_bytes
    cdef void start(self, bint no_body) noexcept
    cdef Py_ssize_t received(self) noexcept     # bytes of the body that are held
    cdef Py_ssize_t length(self) noexcept       # bytes that it will have; 0: not known
    cdef int feed(self, bytes data) except -1
    cdef int eof(self) except -1
    cdef int lost(self) except -1
    cdef int broken(self, str why) except -1
    cdef int too_large(self, str why) except -1
    cdef Py_ssize_t read_head(self, bytes data, const char* p, Py_ssize_t n) except -2
    cdef int begin_body(self, bint chunked, bint has_length, Py_ssize_t length) except -1
    cdef Py_ssize_t read_line(self, bytes data, const char* p, Py_ssize_t n) except -2
    cdef int gather(self, const char* p, Py_ssize_t n) except -1
    cdef int done(self) except -1
