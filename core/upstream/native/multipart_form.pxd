from batchwire.core.model cimport Buffer, Call, Result
from batchwire.core.upstream.native.base cimport NativeForm

cdef class MultipartForm(NativeForm):
    cdef int put_member(self, Buffer out, Call call, Py_ssize_t index, bytes base_path, dict inner) except -1
