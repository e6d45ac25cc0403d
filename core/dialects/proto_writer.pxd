from batchwire.core.dialects.base cimport Writer
from batchwire.core.model cimport Buffer, Call, HeaderSlice, Result

cdef class ProtoWriter(Writer):
    cdef Py_ssize_t max_message             # most bytes of a message
    cdef Py_ssize_t room                    # bytes that the next result may have; one_message: with all that are to come
    cdef Py_ssize_t due                     # one_message: what the expected results need at least, together
    cdef Py_ssize_t expected                # one_message: how many of them are still to come
    cdef Py_ssize_t largest                 # most that one of the results needs at least
    cdef bint parts                         # a body that does not fit comes in parts
    cdef bint one_message                   # all results share one message
    # Of apart(): [(where it belongs in what is written, body, where the result ends that it belongs to)]; else None.
    cdef list bodies
    cdef Buffer scratch                     # what is written around them
    cdef Py_ssize_t written(self, Py_ssize_t least, Py_ssize_t n) except? -1
    cdef list messages_of(self, bytes text, list bodies)
    cdef int write_large(self, Buffer out, Call call, Result result, Py_ssize_t most) except -1
    cdef int put_parts(self, Buffer out, Buffer inner, Call call, Result result, Py_ssize_t most) except -1
    cdef Buffer header_of(self, HeaderSlice* header)
