from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules

# As the client is to see it: the owners of what its headers point to then, or None. Never raises: a result that cannot
# be worked on becomes a 502 (BU-03).
cdef list published(Call call, Result result, UrlRules rules)
