"""How fast the client of a batch takes the answer, and what it has not taken (AN-16).

Looked at while others wait, and never told: what was emptied and is full again between two looks was taken fast enough.
While there is little to take it is not the client's turn.
"""
from batchwire.core.pace cimport Pace
from batchwire.core.pressure cimport MUCH, patience_of
from batchwire.core.session.waker cimport SessionListener


cdef class Taker(Holder):
    @staticmethod
    cdef Taker of(Conductor batch, object loop, ResultStream results, Waker waker, double idle_seconds):
        """idle_seconds: see patience_of()."""
        cdef Taker made = Taker.__new__(Taker)
        made.batch = batch
        made.loop = loop
        made.results = results
        made.waker = waker
        made.patience = patience_of(idle_seconds)
        made.pace = Pace()
        made.of_connection = -1
        return made

    cdef int look(self, double t) except -1:
        cdef SessionListener front = self.waker.front
        cdef int64_t passed = <int64_t>self.results.taken() - self.results.kept
        cdef int64_t of_connection = -1 if front is None else front.client_took()
        # What a connection has been given may be more than its client takes in minutes; and what it takes is of all streams.
        cdef int64_t gained = of_connection - self.of_connection if of_connection >= 0 and self.of_connection >= 0 \
            else passed - self.passed
        if gained > 0:
            self.pace.bytes += gained
        self.passed = passed
        self.of_connection = of_connection
        if self.stuck() >= MUCH:
            self.pace.turn(t)
        else:
            self.pace.stop(t)
        return 0

    cdef Py_ssize_t stuck(self) noexcept:
        return self.results.to_take()

    cdef int make_way(self) except -1:
        cdef Conductor batch = self.batch
        return 0 if batch is None else batch.give_up()
