from batchwire.core.dialects.charsets cimport Decoding
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Call
from batchwire.core.upstream.native.base cimport Encoding, NativeForm

cdef class JsonLook(Steps):
    """Looks through a body in steps: whether it is what its content-type says."""
    cdef bytes body                         # a text: in UTF-8 then
    cdef bint json
    cdef str codec                          # of a text; None: it is JSON or data
    cdef str wrong                          # what is wrong, or None
    cdef object judge
    cdef Decoding decoding
    cdef Py_ssize_t at

    @staticmethod
    cdef JsonLook of(bytes body, tuple kind, int max_depth)


cdef class JsonForm(NativeForm):
    cdef bint decode_body(self, Encoding encoding, Call call, dict fields, Py_ssize_t index) except -1
    cdef bytes body_text(self, Encoding encoding, dict fields, Py_ssize_t index, bytes body)
    cdef int looked_through(self, Encoding encoding, JsonLook looking, Py_ssize_t index) except -1
    cdef bint put_pieces(self, Encoding encoding, Py_ssize_t index) except -1
