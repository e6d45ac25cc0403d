from batchwire.core.front.route_entry cimport RouteEntry
from batchwire.core.ledger cimport Batch, Ledger
from batchwire.core.session.batch_head cimport BatchHead

cdef class RpcOpener:
    """Opens the batches of calls of BatchService. See rpc_opener.pyx."""
    cdef Ledger ledger
    cdef object find, client
    cdef dict routes                        # name, bytes -> RouteEntry
    cpdef Batch open(self, bytes first, object metadata, str peer, double left, bint execute)
    cpdef Batch begin(self, RouteEntry route, BatchHead head, str peer, str trace, double left)
