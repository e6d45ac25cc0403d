# Puts values of earlier calls into queries and bodies. See values.pyx.
from batchwire.core.model cimport Call
from batchwire.core.plan.urls cimport UrlRules

cdef enum:
    MAX_REFERENCES = 64       # of one call
    MAX_PATH = 32             # segments

cdef int fill_values(Call call, UrlRules rules, Py_ssize_t max_body, int max_depth) except -1
