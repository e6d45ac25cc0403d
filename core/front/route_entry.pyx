"""What is known of batches of a route before they come, whatever front they come by."""


cdef class RouteEntry:
    """account: where they are counted. head: what all of them have in common. forwarded: header fields, or metadata,
    that go to their calls (CL-10)."""

    def __init__(self, Route route not None, Account account not None, BatchHead head not None,
                 ForwardedNames forwarded not None):
        self.route = route
        self.account = account
        self.head = head
        self.forwarded = forwarded
        head.bind(route)
