from batchwire.core.front.forwarded_names cimport ForwardedNames
from batchwire.core.ledger cimport Account, Batch, Ledger
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead

cdef class RpcRoute:
    """A route as calls of BatchService come to it. See rpc_opener.pyx."""
    cdef readonly Route route
    cdef Account account
    cdef BatchHead head
    cdef ForwardedNames forwarded

cdef class RpcOpener:
    """Opens the batches of calls of BatchService. See rpc_opener.pyx."""
    cdef Ledger ledger
    cdef object find, client
    cdef dict routes                        # name, bytes -> RpcRoute
    cpdef Batch open(self, bytes first, object metadata, str peer, double left, bint execute)
    cpdef Batch begin(self, RpcRoute route, BatchHead head, str peer, str trace, double left)
