# One call at an ASGI application. See call.pyx.
from batchwire.core.model cimport Buffer, Call
from batchwire.core.upstream.base cimport Inlet

cdef class AsgiCall(Inlet):
    cdef object loop
    cdef Call call
    cdef object on_whole              # called with this one when the last of its body has come
    cdef Py_ssize_t max_header_bytes
    cdef Py_ssize_t max_body          # bytes
    cdef object task
    cdef bytes body
    cdef bint body_given
    cdef bint ended                   # nobody waits for the answer any more
    cdef object gone                  # future: set when the client is to be told gone
    cdef unsigned long long told_gone  # times it was told so
    cdef int status
    cdef list headers
    cdef Buffer content
    cdef bint finished                # the last body message has come
    cdef bint oversized               # it is larger than allowed
    cdef object resumed               # future: set when the application may send on
    cdef int came_in(self) except -1
    cdef int gather(self, object data) except -1
    cdef int release(self) except -1
