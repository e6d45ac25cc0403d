from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.model cimport Call, CallQueue, Refusal, Result
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.upstream.base cimport CallOwner, Inlet, Upstream

cdef class Lane:
    """The ready calls of one batch for one upstream."""
    cdef Upstream upstream
    cdef bint by_number                     # take the earliest call of the batch first
    cdef CallQueue ready
    cdef list heap                          # by_number: of (number, Call), instead of ready
    cdef Py_ssize_t size
    cdef int put(self, Call call) except -1
    cdef int put_back(self, Call call) except -1
    cdef Call first(self)
    cdef Call pop(self)

cdef class Dispatcher(CallOwner):
    """Starts ready calls within bounds. See dispatcher.pyx."""
    cdef Conductor batch                    # None: it has ended
    cdef Bounds bounds
    cdef Inflow inflow                      # None: no answer has been large
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
    cdef bint starts_no_more
    cdef double began                       # of the batch, monotonic seconds
    cdef double batch_deadline              # monotonic seconds
    cdef int begin(self, Conductor batch, Bounds bounds, double began, double deadline, bint by_number) except -1
    cdef int push(self, Call call) except -1
    cdef int start_queued(self) except -1
    cdef int launch(self, Lane lane) except -1
    cdef int send(self, Call call) except -1
    cdef int leave(self, Call call) except -1
    cdef Call next_of(self, Lane lane)
    cdef bint may_start(self, Lane lane) except -1
    cdef Lane lane_of(self, Upstream upstream)
    cdef int abandon_all(self) except -1
    cdef int cut_running(self, Refusal why) except -1
    cdef int not_started(self, Call call) except -1
    cdef list recall(self)
    cdef int clear(self) except -1
    cdef bint stuck(self) except -1
    cdef bint end_by(self, double deadline) except -1
    cdef int keep_order(self) except -1
    cdef int end_turn(self) except -1
    cdef int tell_inflow(self) except -1
    cdef int kept(self, Call call) except -1
    cdef bint leads(self, Call call) except -1
    cdef bint may_write(self, Py_ssize_t most, bint leads) except -1
    cdef Inflow counting(self)
    cdef int close(self) except -1
