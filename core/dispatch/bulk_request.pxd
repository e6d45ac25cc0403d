from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.base cimport NativeBatch

cdef Call bulk_request_of(list members, Upstream upstream)
cdef Steps reading_of(Call bulk, Result answer)
cdef Call continued(Call bulk, Result answer, Steps reading)
cdef Call group_request(list members, Upstream upstream, NativeBatch batch)
cdef list in_pieces(Call bulk, Result answer)
cdef list split_answer(Call bulk, Result answer, Steps reading)
