from batchwire.core.dialects.base cimport Writer
from batchwire.core.model cimport HeaderSlice

cdef class ProtoWriter(Writer):
    cdef list recode(self, HeaderSlice* header, list owners)
