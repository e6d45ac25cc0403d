from batchwire.core.dialects.base cimport Writer

cdef class ProtoWriter(Writer):
    cdef bytes recode(self, bytes value)
