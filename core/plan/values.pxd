# Puts values of earlier calls into queries and bodies. See values.pyx.
from batchwire.core.model cimport Call
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules

cdef int fill_values(Call call, References given, UrlRules rules, Py_ssize_t max_body, int max_depth) except -1
