from batchwire.core.dialects.base cimport Writer
from batchwire.core.model cimport Buffer, Call, Result

cdef class ProtoWriter(Writer):
    cdef Py_ssize_t max_message             # most bytes of a message
    cdef Py_ssize_t room                    # most bytes of the next result
    cdef Py_ssize_t reserve                 # one_message: kept free for the results that are still to come
    cdef bint parts                         # a body that does not fit comes in parts
    cdef bint one_message                   # all results share one message
    cdef int write_large(self, Buffer out, Call call, Result result) except -1
    cdef int put_head(self, Buffer inner, Call call, Result result, bint headers) except -1
    cdef int put_part(self, Buffer out, Buffer inner, Result result, Py_ssize_t start, Py_ssize_t n) except -1
    cdef bytes recode(self, bytes value)
