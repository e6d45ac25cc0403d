# The interface between the dispatcher and a way to reach servers.
from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.native.base cimport NativeForm

cdef enum:
    COUNTED = 65536           # bytes of an answer from which on its owner is told of each further read


cdef class Inlet:
    """Where an answer comes in. pause_reading(): reads no more until resume_reading(); both act at once and call nobody back.

    rest(): reads no more in this turn of the loop (PL-01). read_on(): it has its turn; it may have ended, or be paused.
    """
    cdef object inflow                      # core.dispatch.inflow.Inflow that counts the answer, or None
    cdef Call answering
    cdef Py_ssize_t counted
    cdef Py_ssize_t length                  # bytes that the body of the answer will have; 0: not known
    cdef bint held                          # it was told to wait
    cdef double left                        # seconds that its call had left then
    cdef bint rests                         # between rest() and read_on()
    cdef int rest(self) except -1
    cdef int read_on(self) except -1
    cdef int pause_reading(self) except -1
    cdef int resume_reading(self) except -1


cdef class CallOwner:
    """Who hands calls to an upstream: gets each result, and is told when there is room."""
    cdef int complete(self, Call call, Result result) except -1
    cdef int on_capacity(self, Upstream upstream) except -1
    # An answer has so many bytes and goes on; the inlet may be told to wait.
    cdef int incoming(self, Inlet inlet, Call call, Py_ssize_t size) except -1
    # The answer of an inlet has ended, or is not wanted any more.
    cdef int came_in(self, Inlet inlet) except -1
    # Results that had to wait for room in the process may be written. Must not act at once.
    cdef int room_to_write(self) except -1
    # How many of its calls are at upstreams.
    cdef int calls_running(self) noexcept
    # Whether a call that was started may be sent again later, when there is room for its answer (AN-09).
    cdef bint may_take_back(self, Call call) noexcept
    # One that is, and is at no upstream any more. Must not act at once.
    cdef int take_back(self, Call call) except -1
    # Whether a call may be answered before one that comes earlier and has no connection.
    cdef bint may_overtake(self) except -1


cdef class Upstream:
    """One named set of servers (or one app) that calls are sent to.

    start(call): begins a call; never raises for what goes wrong with it: the result (the upstream's, or 502
      or 504) reaches call.owner.complete(call, result), maybe before start() returns. The owner must
      have asked has_room() first. call.target, head, extra, body_*, deadline and owner are set.
    abandon(call): the result is no longer wanted; frees what the call holds; complete() is not called.
    cut(call): as abandon(); the call's result where its status is known and only its body was held up (AN-03), else None.
    wait(owner): puts the owner once into the ring; on_capacity(upstream) is called when it may start ONE call; it
      returns 1 when it started one and has more to start, else 0. The ring makes batches take turns.
      wait_first(owner): the same, before all others.
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
    cdef int wait_first(self, CallOwner owner) except -1
    cdef int forget(self, CallOwner owner) except -1
    cdef int hand(self, Call call, Result result) except -1
    cdef int give_room(self) except -1
    cdef int start(self, Call call) except -1
    cdef int abandon(self, Call call) except -1
    cdef Result cut(self, Call call)
    cdef int reject(self, Call call) except -1
