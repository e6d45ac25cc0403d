from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.header_rules cimport HeaderRules

cdef Reader reader_of(str dialect, Limits limits, HeaderRules rules, str inner_authorization, bytes authorization,
                      bint strict, object authority, bytes boundary)
cdef Writer writer_of(str dialect, str request, Limits limits, bytes boundary, bint flat, bint last_only,
                      bint nested_errors)
