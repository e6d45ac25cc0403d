# The interface between the dispatcher and a way to reach servers.
from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.native.base cimport NativeForm

cdef class CallOwner:
    """Who hands calls to an upstream: gets each result, and is told when there is room."""
    cdef int complete(self, Call call, Result result) except -1
    cdef int room(self, Upstream upstream) except -1


cdef class Upstream:
    """One named set of servers (or one app) that calls are sent to.

    start(call): begins a call; never raises for what goes wrong with it: the result (the upstream's, or 502
      or 504) reaches call.owner.complete(call, result), maybe before start() returns. The owner must
      have asked has_room() first. call.target, head, extra, body_*, deadline and owner are set.
    abandon(call): the result is no longer wanted; frees what the call holds; complete() is not called.
    wait(owner): puts the owner once into the ring; room(upstream) is called when it may start ONE call; it
      returns 1 when it started one and has more to start, else 0. The ring makes batches take turns.
    """
    cdef readonly str name
    cdef readonly bytes base_path           # b"/" or b"/api/": put before every target
    cdef readonly bytes origin              # b"http://host:port": for rewriting its absolute URLs (GW-10)
    cdef readonly bint forward_authorization
    cdef readonly Py_ssize_t max_response_bytes
    cdef readonly double call_timeout       # seconds
    cdef readonly int max_in_flight
    cdef readonly int in_flight
    cdef readonly bint closed
    cdef readonly NativeForm native         # the form of the batches that it takes itself; None: it takes none
    cdef readonly int coalesce              # most calls put into one such batch that have nothing to do with another
    cdef readonly bytes merge_as                  # the method that it gets instead of MERGE
    cdef object ring                        # deque of CallOwner
    cdef set in_ring
    cdef bint giving_room
    cdef readonly unsigned long long calls, failures, timeouts
    cdef bint has_room(self) noexcept
    cdef int wait(self, CallOwner owner) except -1
    cdef int forget(self, CallOwner owner) except -1
    cdef int give_room(self) except -1
    cdef int start(self, Call call) except -1
    cdef int abandon(self, Call call) except -1
    cdef int turn_away(self, Call call) except -1
