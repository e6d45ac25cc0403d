cdef class MessageReader:
    """See grpc_messages.pyx."""
    cdef Py_ssize_t limit
    cdef char[5] head
    cdef int head_size
    cdef Py_ssize_t filled
    cdef bytes body                         # the message that is being read
    cdef readonly bint compressed           # of `message`
    cdef readonly bytes message             # the last complete one
    cdef bint partial(self) noexcept
    cdef Py_ssize_t read(self, const char* p, Py_ssize_t n, bint* complete) except -1

cdef int put_prefix(char* p, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t empty_messages(const char* p, Py_ssize_t n) noexcept nogil
