from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.base cimport NativeBatch

cdef Call carrier_of(list members, Upstream upstream)
cdef Call continued(Call carrier, Result answer)
cdef Call group_carrier(list members, Upstream upstream, NativeBatch batch)
cdef list in_pieces(Call carrier, Result answer)
cdef list taken_apart(Call carrier, Result answer)
