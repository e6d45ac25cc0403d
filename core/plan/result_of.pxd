# Whole results as bodies or parts of bodies. See result_of.pyx.
from batchwire.core.model cimport Call

cdef list result_of_ids(Call call)
cdef Py_ssize_t most_of_results(Call call, dict lookup) except -1
cdef int fill_result_of(Call call, dict lookup) except -1
