from batchwire.core.front.stream cimport Handler, Stream

cdef Handler answer_of(object servicer, Stream stream)
