from batchwire.core.front.forwarded_names cimport ForwardedNames
from batchwire.core.ledger cimport Account
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead

cdef class RouteEntry:
    """What is known of batches of a route before they come. See route_entry.pyx."""
    cdef readonly Route route
    cdef Account account
    cdef BatchHead head
    cdef ForwardedNames forwarded
