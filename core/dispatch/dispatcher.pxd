from batchwire.core.model cimport Call, CallQueue, Refusal, Result
from batchwire.core.upstream.base cimport CallOwner, Upstream

cdef class Lane:
    """The ready calls of one batch for one upstream."""
    cdef Upstream upstream
    cdef bint by_number                     # take the earliest call of the batch first
    cdef CallQueue ready
    cdef list heap                          # by_number: of (number, Call), instead of ready
    cdef Py_ssize_t size
    cdef int put(self, Call call) except -1
    cdef Call first(self)
    cdef Call pop(self)
    cdef int clear(self) except -1

cdef class Dispatcher(CallOwner):
    """Starts ready calls within bounds. Session completes it. See dispatcher.pyx."""
    cdef list lanes
    cdef Lane only                          # the lane of a batch that has one upstream
    cdef readonly int running               # calls handed to upstreams
    cdef readonly unsigned long long launched   # calls ever handed to upstreams
    cdef readonly unsigned long long abandoned  # of the calls that were started: given up without a result
    cdef int max_running
    cdef bint by_number
    cdef list started                       # the running Calls, each at its rank
    cdef Py_ssize_t queued                  # ready Calls in all lanes
    cdef bint pumping
    cdef double clock                       # when the last call completed, monotonic seconds
    cdef double began                       # of the batch, monotonic seconds
    cdef double batch_deadline              # monotonic seconds
    cdef int push(self, Call call) except -1
    cdef int pump(self) except -1
    cdef int launch(self, Lane lane) except -1
    cdef Call next_of(self, Lane lane)
    cdef bint may_start(self, Lane lane) except -1
    cdef Lane lane_of(self, Upstream upstream)
    cdef int abandon_all(self) except -1
    cdef int cut_running(self, Refusal why) except -1
    cdef int finished_call(self, Call call, Result result) except -1
    cdef int crashed(self, object error) except -1
    cdef int not_started(self, Lane lane, Call call) except -1
    cdef int turn(self) except -1
