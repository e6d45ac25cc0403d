from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dispatch.limits cimport Limits

cdef Reader reader_of(str dialect, Limits limits, bint drop_authorization, bint strict, object authority,
                      bytes boundary)
cdef Writer writer_of(str dialect, str request, Limits limits, bytes boundary, bint flat, bint last_only)
