from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules

cdef list publish(Call call, Result result, UrlRules rules)
