# What a member's result is, once the upstream's answer has been taken apart.
from batchwire.core.model cimport Result

# limit: bytes of a body; 0: none.
cdef list refused_batch(Result answer, Py_ssize_t count, Py_ssize_t limit)      # None: the upstream took the batch
cdef list settled(list found, list members, bint atomic, Py_ssize_t limit)
cdef list failed_together(Result error, list members, Py_ssize_t limit)         # one error that is that of all members
cdef bytes whole_body(Result answer, Py_ssize_t limit)              # None: it cannot be read
cdef list bad_answer(Py_ssize_t count, str message)
cdef Py_ssize_t member_index(bytes name, Py_ssize_t count) except -2
