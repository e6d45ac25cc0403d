"""The interface between the dispatcher and a way to reach servers, and the ring in which batches take turns.

Must never look at a batch's order or dialect: a call arrives here ready to be sent.
"""
from batchwire.core.model cimport Call, OUTCOME_UNREACHABLE, Result

from batchwire.core.errors import ConfigError
from batchwire.core.upstream.native.forms import native_form

from collections import deque


cdef class Inlet:
    cdef int rest(self) except -1:
        raise NotImplementedError

    cdef int read_on(self) except -1:
        raise NotImplementedError

    cdef int pause_reading(self) except -1:
        raise NotImplementedError

    cdef int resume_reading(self) except -1:
        raise NotImplementedError


cdef class CallOwner:
    cdef int complete(self, Call call, Result result) except -1:
        raise NotImplementedError

    cdef int on_capacity(self, Upstream upstream) except -1:
        raise NotImplementedError

    cdef int incoming(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        return 0

    cdef int came_in(self, Inlet inlet) except -1:
        return 0

    cdef int room_to_write(self) except -1:
        return 0

    cdef int calls_running(self) noexcept:
        return 0

    cdef bint may_take_back(self, Call call) noexcept:
        return False

    cdef int take_back(self, Call call) except -1:
        raise NotImplementedError

    cdef bint may_overtake(self) except -1:
        return True


cdef class Upstream:
    """See base.pxd. Subclasses: HttpUpstream (pool.pyx), AsgiUpstream (asgi/)."""

    def __init__(self, str name, bytes base_path, bytes origin, int max_in_flight, double call_timeout,
                 Py_ssize_t max_response_bytes, bint forward_authorization):
        self.name = name
        self.base_path = base_path
        self.origin = origin
        self.max_in_flight = max_in_flight
        self.call_timeout = call_timeout
        self.max_response_bytes = max_response_bytes
        self.forward_authorization = forward_authorization
        self.coalesce = 1
        self.merge_as = b"MERGE"
        self.ring = deque()
        self.in_ring = set()

    def take_batches(self, str form not None, int coalesce=1):
        """Says that the upstream takes OData batches at base_path + "$batch" itself (GW-04 b).

        form: "json" or "multipart". coalesce: calls of one batch that may travel as one request; 1: each its own.
        """
        if coalesce < 1:
            raise ConfigError("coalesce must be at least 1")
        self.native = native_form(form, self.max_response_bytes)
        self.coalesce = coalesce
        self.merge_as = b"PATCH"

    def take_merge(self, str method not None):
        """Says with which method it gets a MERGE (CL-03): MERGE or PATCH; without, PATCH if it takes batches."""
        if method not in ("MERGE", "PATCH"):
            raise ConfigError("a MERGE is sent as MERGE or as PATCH")
        self.merge_as = method.encode()

    cdef bint has_room(self) noexcept:
        """Whether a batch that is not in the ring may start a call now; those in the ring come first."""
        return self.in_flight < self.max_in_flight and not self.in_ring

    cdef int wait(self, CallOwner owner) except -1:
        if owner not in self.in_ring:
            self.in_ring.add(owner)
            self.ring.append(owner)
        return 0

    cdef int wait_first(self, CallOwner owner) except -1:
        self.forget(owner)
        self.in_ring.add(owner)
        self.ring.appendleft(owner)
        return 0

    cdef int forget(self, CallOwner owner) except -1:
        if owner in self.in_ring:
            self.in_ring.discard(owner)
            self.ring.remove(owner)
        return 0

    cdef int hand(self, Call call, Result result) except -1:
        """Gives a result to the owner of its call, and the room to the batches that wait, whatever becomes of the result.

        What is done before may have ended the batch of this call: the next call on its connection may fail at once.
        """
        try:
            if call.owner is not None:
                (<CallOwner>call.owner).complete(call, result)
        finally:
            if self.in_ring:
                self.give_room()
        return 0

    cdef int give_room(self) except -1:
        """Lets the batches in the ring start calls, one each in turn, while there is room."""
        cdef CallOwner owner
        if self.giving_room or not self.in_ring:
            return 0
        self.giving_room = True
        try:
            while self.in_ring and self.in_flight < self.max_in_flight:
                owner = self.ring.popleft()
                self.in_ring.discard(owner)
                if owner.on_capacity(self):
                    self.wait(owner)
        finally:
            self.giving_room = False
        return 0

    cdef int start(self, Call call) except -1:
        raise NotImplementedError

    cdef int abandon(self, Call call) except -1:
        raise NotImplementedError

    cdef Result cut(self, Call call):
        self.abandon(call)
        return None

    cdef int reject(self, Call call) except -1:
        """Answers a call that came after close()."""
        cdef Result result = Result()
        result.reset()
        result.set_error(502, OUTCOME_UNREACHABLE, "UpstreamClosed", "the gateway is stopping")
        self.failures += 1
        return (<CallOwner>call.owner).complete(call, result)

    def stats(self):
        """Counters since the start and gauges of now, as a dict of ints. A call is late or a failure, never both."""
        return {
            "in_flight": self.in_flight,
            "waiting_batches": len(self.in_ring),
            "calls": self.calls,
            "failures": self.failures,
            "timeouts": self.timeouts,
        }
