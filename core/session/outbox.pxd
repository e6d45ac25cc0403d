from batchwire.core.model cimport Buffer

cdef double LINGER

cdef class Outbox:
    cdef Buffer tail                        # where the writer appends
    cdef object chunks                      # deque of full chunks, bytes or lists of bytes; or None
    cdef bint one_message                   # all chunks together are one message
    cdef bint splits                        # a chunk may end anywhere: it is a piece of a document
    cdef Py_ssize_t max_message             # most bytes of a chunk, which is a protobuf message; 0: none
    cdef Py_ssize_t enough                  # bytes that make a chunk

    @staticmethod
    cdef Outbox of(double began)
    cdef int bound(self, Py_ssize_t max_message) except -1
    cdef readonly Py_ssize_t held           # bytes not taken
    cdef readonly unsigned long long taken  # bytes taken since the start
    cdef double last_taken                  # seconds, monotonic
    cdef double last_added
    cdef double gap                         # smoothed seconds between results
    cdef int added(self, Py_ssize_t n) except -1
    cdef int put(self, list written) except -1
    cdef bint is_chunk(self, object piece) except -1
    cdef int push(self, object chunk) except -1
    cdef int clear(self) except -1
    cdef int cut(self) except -1
    cdef int cut_document(self) except -1
    cdef double wait_for_more(self, double t, int running) noexcept
    cdef object take(self)

# Bytes of a list of bytes, or of such lists.
cdef Py_ssize_t size_of(list written) except -1
