from batchwire.core.model cimport Call
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport References

cdef int judge(Call call, CallIndex index, References references) except -1
cdef str why_not(Call call, CallIndex index, References references)
