"""When results are sent: at once, or together with those that are near, since a gRPC message costs as much as ten calls.

Must never wake the front up for results that wait for earlier ones: they are nothing to send yet.
"""
from batchwire.core.faults cimport fault
from batchwire.core.model cimport now
from batchwire.core.session.outbox cimport LINGER, Outbox
from batchwire.core.session.waker cimport SessionListener
from libc.stdint cimport uint64_t


cdef class Outlet:
    @staticmethod
    cdef Outlet of(Conductor batch, object loop, ResultStream results, ClientClock client, Waker waker):
        cdef Outlet made = Outlet.__new__(Outlet)
        made.batch = batch
        made.loop = loop
        made.results = results
        made.client = client
        made.waker = waker
        return made

    cdef int added(self, double t, int running, uint64_t pending) except -1:
        """A result was written at the time t; running, pending: calls that have none yet."""
        cdef Outbox outbox = self.results.outbox
        cdef double wait = outbox.wait_for_more(t, running)
        if self.results.one_message or self.ready or outbox.held == 0:
            return 0
        if wait <= 0 or pending == 0:
            return self.offer()
        if self.linger is None:
            self.linger = self.loop.call_later(wait, self.on_linger)
        return 0

    cdef object take(self, uint64_t pending):
        """The next chunk of the answer, bytes or a list of bytes; or None. pending: calls without a result."""
        cdef Outbox outbox = self.results.outbox
        cdef object chunk = outbox.take()
        self.client.last_take = outbox.last_taken = now()
        if outbox.held == 0:
            self.ready = False
        elif not outbox.chunks and pending and self.batch is not None:
            # What came behind the full chunks waits for more, as it would have without them.
            self.ready = False
            if self.linger is None:
                self.linger = self.loop.call_later(LINGER, self.on_linger)
        return chunk

    cdef int offer(self) except -1:
        self.stop_timer()
        self.ready = True
        self.client.offered = now()
        return self.waker.wake_output()

    cdef int end(self) except -1:
        """Nothing more is added: the front is to take what there is."""
        self.batch = None
        self.stop_timer()
        self.ready = True
        return self.waker.wake_output()

    cdef bint is_behind(self) except -1:
        """Whether the client takes less than there is: it may send nothing because of that."""
        cdef SessionListener front = self.waker.front
        return self.results.kept > 0 or (front is not None and front.client_took() >= 0)

    cdef int stop_timer(self) except -1:
        if self.linger is not None:
            self.linger.cancel()
            self.linger = None
        return 0

    def on_linger(self):
        cdef Conductor batch = self.batch
        self.linger = None
        if batch is None:
            return
        try:
            fault("linger")
            if self.results.untaken():
                self.offer()
        except Exception as error:
            batch.crashed(error)
