"""Who is cut while others wait for memory: of the slow clients the one for which most is held (PL-13, AN-16).

Looked at once a second while somebody waits, and not at all else; so one is cut a second. Those who come to hold the
room of one that was cut have half of its time, so that many who come in turn do not hold up others for the time of all.
Must never cut whoever is held back by the gateway: the time of its pace does not run then.
"""
from batchwire.core.model cimport now

from weakref import WeakSet

cdef double PATIENCE = 10.0   # seconds that others wait before
cdef double EVERY = 1.0       # seconds
cdef int LEAST = 2            # of these a client has in any case


cdef double patience_of(double idle_seconds) noexcept:
    """How long others wait for a slow client: less than it takes to give them up."""
    return min(PATIENCE, idle_seconds / 4)


cdef class Holder:
    cdef int look(self, double t) except -1:
        """Called at each look, for a pace that nobody tells at once."""
        return 0

    cdef Py_ssize_t stuck(self) noexcept:
        """Bytes that are held because of the client alone."""
        raise NotImplementedError

    cdef int make_way(self) except -1:
        """Its client is too slow, and others wait. Never raises."""
        raise NotImplementedError


cdef class Pressure:
    def __init__(self):
        self.holders = WeakSet()

    cdef double longest_wait(self, double t) except -2:
        """How many seconds that one has waited in all which waits now and has waited most; below 0: nobody waits."""
        return -1

    cdef int look(self) except -1:
        """Called now and then while somebody waits: lets go on who may, and of whom nobody has told."""
        return 0

    cdef int join(self, Holder holder) except -1:
        """It may hold much from now on, as it says itself when it is asked."""
        self.holders.add(holder)
        return 0

    cdef int tell(self, Holder holder, Py_ssize_t held, Py_ssize_t before) except -1:
        """So many bytes are held now, and were before."""
        if held >= MUCH and before < MUCH:
            holder.pace.begin(now())
            self.holders.add(holder)
        elif held < MUCH and before >= MUCH:
            self.holders.discard(holder)
        return 0

    cdef int watch(self, Holder one) except -1:
        """It waits. Said more than once, the first counts."""
        cdef Holder holder
        cdef double t
        if self.timer is not None and self.loop is one.loop:
            return 0
        t = now()
        for holder in self.holders:
            holder.look(t)
            holder.pace.begin(t)
        self.loop = one.loop
        self.patience = self.window = one.patience
        self.looked = t
        return self.arm()

    cdef int arm(self) except -1:
        self.timer = self.loop.call_later(self.every(), self.on_time)
        return 0

    cdef double every(self) noexcept:
        return min(EVERY, self.patience / 10)

    def on_time(self):
        cdef Holder holder, slowest = None
        cdef Py_ssize_t most = MUCH - 1, stuck
        cdef double t = now()
        cdef double waited = self.longest_wait(t)
        if waited < 0:
            self.timer = None
            return
        if waited < self.patience:
            self.window = self.patience
        self.looked = t
        self.arm()
        for holder in self.holders:
            holder.look(t)
            stuck = holder.stuck()
            if holder.pace.is_slow(t, self.window) and stuck > most:
                slowest = holder
                most = stuck
        if slowest is not None and waited >= self.patience:
            slowest.make_way()
            self.window = max(self.window / 2, LEAST * self.every())
        self.look()
