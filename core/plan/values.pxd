from batchwire.core.dialects.json_scan cimport Scan
from batchwire.core.model cimport Call
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.plan.value_finder cimport Reference

cdef class Filling:
    """How far the values and ETags of a call that is being decided are filled in. See values.pyx."""
    cdef Call call
    cdef list values                        # References of the call, those in its target first; empty: they are in
    cdef Py_ssize_t done                    # of them
    cdef Py_ssize_t in_target               # how many of them are
    cdef list found                         # for each in the body what goes in: bytes, or (start, end) in what was kept
    cdef list pieces                        # of the target
    cdef Py_ssize_t at, inserted            # in the target
    cdef Py_ssize_t size                    # of the body, when all found so far is in
    cdef bytes body                         # with everything in, or None
    cdef Scan validity                      # of it
    cdef Py_ssize_t checked
    cdef list names                         # of ETags, or None: not looked for
    cdef dict etags                         # id -> ETag of those before `named`
    cdef Py_ssize_t named
    cdef bint step(self, References given, UrlRules rules, Py_ssize_t max_body, int max_depth) except -1
    cdef int put_in_target(self, Reference reference, References given) except -1
    cdef int find_for_body(self, Reference reference, References given, UrlRules rules, Py_ssize_t max_body) except -1
    cdef int join(self, Py_ssize_t max_body, int max_depth) except -1
    cdef bint check_on(self) except -1

cdef Filling filling_of(Call call)
