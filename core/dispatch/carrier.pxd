from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.base cimport Upstream

cdef Call carrier_of(list members, Upstream upstream, bint atomic)
cdef Call continued(Call carrier, Result answer)
cdef list in_pieces(Call carrier, Result answer)
cdef list taken_apart(Call carrier, Result answer)
