# ID-03: request-id = 1*unreserved.
cdef bint is_request_id(const char* p, Py_ssize_t n) noexcept nogil
