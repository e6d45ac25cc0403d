from batchwire.core.model cimport Buffer, Call, Result
from batchwire.core.upstream.native.base cimport Encoding, NativeForm

cdef class JsonForm(NativeForm):
    cdef bint decode_body(self, Encoding encoding, Call call, dict fields, Py_ssize_t index) except -1
    cdef bytes body_text(self, Encoding encoding, dict fields, Py_ssize_t index, bytes body)
    cdef int put_text(self, Buffer out, dict fields, Py_ssize_t index, bytes body) except -1
