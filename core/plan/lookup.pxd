from batchwire.core.model cimport Call
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport References

cdef class Budget:
    """The work that one evaluation may still do. See lookup.pyx."""
    cdef Py_ssize_t left
    cdef int spend(self, Py_ssize_t work) except -1

cdef class Lookup:
    """What the condition of a call may ask about the calls that it names. See lookup.pyx."""
    cdef CallIndex index
    cdef References given
    cdef Call call
    cdef dict values                        # (id, path) -> what was found there
    cdef set read                           # ids whose answers count already
    cdef Budget budget
    cdef object found(self, bytes name, tuple path)

cdef Lookup lookup_of(CallIndex index, References given, Call call)
