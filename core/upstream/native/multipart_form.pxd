from batchwire.core.upstream.native.base cimport NativeForm

cdef class MultipartForm(NativeForm):
    pass
