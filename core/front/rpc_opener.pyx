"""Opens the batch that the first message of a call of BatchService is for: the same whatever front it came by.

Reads the options of that message and the metadata. Which routes there are is asked of the service, once a name. Must
never know how messages travel.
"""
from batchwire.core.dialects.proto_options cimport options_of, ProtoOptions
from batchwire.core.errors import EnvelopeError
from batchwire.core.front.deadlines cimport early, proxy_seconds_in
from batchwire.core.front.deadlines import PROXY_FIELD
from batchwire.core.ledger import TooManyBatchesError
from batchwire.core.session.batch_head cimport BatchHead

cdef bytes PROXY = PROXY_FIELD
cdef bytes HOP = b"batchwire-hop", TRACE = b"traceparent", AUTHORIZATION = b"authorization"


cdef class RpcOpener:
    """find: gives the RouteEntry that calls name so (str). Raises EnvelopeError where there is none.
    client: gives the client behind a proxy, of peer and metadata; None: no proxy is trusted."""

    def __init__(self, Ledger ledger not None, find not None, client=None):
        self.ledger = ledger
        self.find = find
        self.client = client
        self.routes = {}

    cpdef Batch open(self, bytes first, object metadata, str peer, double left, bint execute):
        """A batch of the protobuf dialect. metadata: [(name, value)], names in lower case. left: seconds to the call's
        deadline, negative for none. Raises EnvelopeError."""
        cdef ProtoOptions options = options_of(first)
        cdef RouteEntry route = self.routes.get(options.name)
        cdef BatchHead head
        cdef bytes name, value
        cdef str trace = ""
        cdef double seconds = 0
        if route is None:
            route = self.routes[options.name] = self.find(options.route)
        head = route.head.copy()
        head.options = options
        head.execute = execute
        for name, value in metadata:
            if name == AUTHORIZATION:
                head.authorization = value
            elif name == HOP and value.isdigit():
                head.hops = int(value[:6]) + 1
            else:
                if name == TRACE:
                    trace = value.decode("latin-1")
                elif name == PROXY and seconds == 0:
                    seconds = proxy_seconds_in(value)
                if route.forwarded.holds(name):
                    if head.headers is None:
                        head.headers = []
                    head.headers.append((name, value))
        if seconds > 0:
            head.answer_deadline = early(seconds)
        if head.hops > route.route.limits.max_hops:
            raise EnvelopeError(508, "LoopDetected", "the batch has passed through too many gateways",
                                route=route.route.root.decode())
        return self.begin(route, head, peer if self.client is None else self.client(peer, metadata), trace, left)

    cpdef Batch begin(self, RouteEntry route, BatchHead head, str peer, str trace, double left):
        """A batch whose head is complete but for the deadline of its call. Raises EnvelopeError."""
        if left >= 0:
            head.deadline = min(early(left), head.deadline) if head.deadline > 0 else early(left)
        if self.ledger.draining:
            raise EnvelopeError(503, "Draining", "the gateway is stopping", route=route.route.root.decode())
        try:
            return self.ledger.open(route.account, route.route, peer, trace, head)
        except TooManyBatchesError as error:
            raise EnvelopeError(429, "TooManyBatches", str(error), route=route.route.root.decode()) from None
