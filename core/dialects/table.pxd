from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.header_rules cimport HeaderRules
from batchwire.core.session.batch_head cimport BatchHead

cdef Reader reader_of(BatchHead head, Limits limits, HeaderRules rules, str inner_authorization)
cdef Writer writer_of(BatchHead head, Limits limits, bint flat)
