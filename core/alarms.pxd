cdef class Alarm:
    """What is to be done at a time, unless it is cancelled before. See alarms.pyx."""
    cdef object callback                    # None: it was called, or cancelled
    cdef double due                         # seconds, monotonic
    cdef Py_ssize_t place                   # in the heap
    cdef Alarms alarms
    cpdef cancel(self)

cdef class Alarms:
    """All alarms of one loop. See alarms.pyx."""
    cdef object loop
    cdef list heap                          # of Alarm, the earliest first
    cdef double armed                       # when on_time() will be called, seconds, monotonic; INFINITY: never
    cdef object timer
    cpdef Alarm after(self, double seconds, object callback)
    cdef int arm(self, double due) except -1
    cdef int remove(self, Py_ssize_t place) except -1
    cdef int rise(self, Py_ssize_t place) except -1
    cdef int sink(self, Py_ssize_t place) except -1

cdef Alarms alarms_of(object loop)
