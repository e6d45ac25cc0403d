"""Deadlines: one timer of the loop behind all of them, since nearly none is ever reached.

A timer of the loop costs as much as a call to set and to cancel; here it is a step in a binary heap. Not for what is
due within milliseconds: an alarm may be late by as much as one.
"""
from batchwire.core.model cimport now
from libc.math cimport INFINITY

cdef double EXACT = 0.001     # seconds that the loop's timers are exact to

cdef Alarms current = None


def stats():
    """Debug counters: alarms that are set now."""
    return {"alarms": 0 if current is None else len(current.heap)}


cdef class Alarm:
    cpdef cancel(self):
        """It is not called any more. A second time does nothing."""
        if self.callback is not None:
            self.callback = None
            self.alarms.remove(self.place)


cdef class Alarms:
    def __init__(self, loop):
        self.loop = loop
        self.heap = []
        self.armed = INFINITY

    cpdef Alarm after(self, double seconds, object callback):
        """Sets an alarm; callback: called without arguments, from the loop."""
        cdef Alarm alarm = Alarm.__new__(Alarm)
        alarm.alarms = self
        alarm.callback = callback
        alarm.due = now() + seconds
        alarm.place = len(self.heap)
        self.heap.append(alarm)
        self.rise(alarm.place)
        if alarm.due < self.armed:
            self.arm(alarm.due)
        return alarm

    cdef int arm(self, double due) except -1:
        if self.timer is not None:
            self.timer.cancel()
        self.armed = due
        self.timer = self.loop.call_later(max(due - now(), EXACT), self.on_time)
        return 0

    def on_time(self):
        cdef double late = now() + EXACT
        cdef Alarm alarm
        self.timer = None
        self.armed = INFINITY
        try:
            while self.heap:
                alarm = self.heap[0]
                if alarm.due > late:
                    break
                callback = alarm.callback
                alarm.cancel()
                callback()
        finally:
            # The timer stays when what it was for is cancelled: mostly something later takes its place.
            if self.heap and (<Alarm>self.heap[0]).due < self.armed:
                self.arm((<Alarm>self.heap[0]).due)

    cdef int remove(self, Py_ssize_t place) except -1:
        cdef Alarm last = self.heap.pop()
        if place < len(self.heap):
            self.heap[place] = last
            last.place = place
            self.rise(place)
            self.sink(last.place)
        return 0

    cdef int rise(self, Py_ssize_t place) except -1:
        cdef list heap = self.heap
        cdef Alarm alarm = heap[place], parent
        while place:
            parent = heap[(place - 1) >> 1]
            if parent.due <= alarm.due:
                break
            heap[place] = parent
            parent.place = place
            place = (place - 1) >> 1
        heap[place] = alarm
        alarm.place = place
        return 0

    cdef int sink(self, Py_ssize_t place) except -1:
        cdef list heap = self.heap
        cdef Py_ssize_t n = len(heap), child
        cdef Alarm alarm = heap[place], lower
        while True:
            child = 2 * place + 1
            if child >= n:
                break
            lower = heap[child]
            if child + 1 < n and (<Alarm>heap[child + 1]).due < lower.due:
                child += 1
                lower = heap[child]
            if alarm.due <= lower.due:
                break
            heap[place] = lower
            lower.place = place
            place = child
        heap[place] = alarm
        alarm.place = place
        return 0


cdef Alarms alarms_of(object loop):
    global current
    if current is None or current.loop is not loop:
        current = Alarms(loop)
    return current
