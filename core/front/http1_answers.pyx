"""The answers of a connection of HTTP/1.1, in the order of their requests, and how it ends.

One stream is answered at a time; what all handlers fill in during one turn of the loop goes out in one write. A
connection ends so that its client can read the last words, and never so that an answer without its end looks complete
(ER-07). Must never look at what comes in.
"""
from batchwire.core.faults cimport fault
from batchwire.core.front.connections cimport LINGER_SECONDS, TURN_WRITTEN
from batchwire.core.front.http_requests cimport answer_of
from batchwire.core.front.stream cimport ends_of, Handler
from batchwire.core.model cimport Buffer, now
from batchwire.core.sending cimport PEER_CLOSED_ITS_SIDE, PEER_GONE, reset_at_close
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from collections import deque
from http import HTTPStatus

from batchwire.core.errors import error_object

cdef enum:
    MOST_UNREAD = 65536       # bytes of a request that nobody has consumed; then nothing more is read

cdef double PROBE_SECONDS = 1.0   # between looks at a client that has closed its side
cdef double AGAIN_SECONDS = 4.0    # from the first byte that is written so that it tells to the second; then more

cdef unsigned long long connections_open = 0


cdef bytes final_answer(int status, str code, str message):
    """An error (ER-01, ER-02) behind which the connection closes."""
    cdef bytes body = error_object(code, message)
    return b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode()) + (
        b"content-type: application/json\r\ncontent-language: en\r\nodata-version: 4.0\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)) + body


cdef bytes FAILED = final_answer(500, "InternalError", "The gateway failed.")
cdef bytes LATE = final_answer(408, "ClientTooSlow", "The head of the request did not come whole in time.")


cdef class Http1Answers(Http1Link):
    """The part of an asyncio protocol that writes and ends."""

    def __init__(self, Http1Acceptor acceptor not None):
        super().__init__(acceptor.loop)
        self.acceptor = acceptor
        self.waiting = deque()
        self.backlog = b""
        self.reading = True
        self.lasts = not acceptor.retiring

    # --- asyncio.Protocol

    def connection_made(self, transport):
        global connections_open
        connections_open += 1
        self.transport = transport
        self.received = self.head_since = now()
        self.ends = ends_of(self.loop, transport, self.acceptor.idle_seconds)
        if self.ends.scheme == "http":
            self.fd = transport.get_extra_info("socket").fileno()
        self.acceptor.connections.add(self)

    def connection_lost(self, exc):
        global connections_open
        cdef Http1Stream stream
        connections_open -= 1
        self.closed = self.closing = self.ended = True
        self.fd = -1
        self.transport = None
        self.acceptor.lost(self)
        self.stop_timers()
        self.backlog = b""
        stream, self.current = self.current, None
        if stream is not None:
            self.drop(stream)
        for stream in self.waiting:
            self.drop(stream)
        self.waiting.clear()
        self.newest = None

    def eof_received(self):
        """FR-06: a client that has asked and closed its side is answered; what it has not said whole ends.

        Whether it still reads is told by what is written to it, or by the state of its socket after that.
        """
        if self.closed or self.ended or self.current is None or self.fd < 0:
            return False          # TLS has no half-closed connections here
        if not self.current.ended and self.refusal is None:
            return False          # but a body that is damaged has no end
        self.half_closed = True
        if not self.newest.ended and self.waiting:
            self.drop_newest()
        self.newest.keeps = False
        self.begin_probes()
        return True

    cdef int begin_probes(self) except -1:
        """Its client may be gone, with the end of what it said unread: only what is written to it tells."""
        if self.prober is None:
            self.probe_answer()
            self.prober = self.loop.call_later(PROBE_SECONDS, self.on_probe)
        return 0

    def on_probe(self):
        cdef Http1Stream stream = self.current
        cdef int state
        self.prober = None
        if self.closed or self.ended or stream is None:
            return
        state = self.state_of_peer()
        if state == PEER_GONE:
            self.abort()
            return
        if self.reading and not self.half_closed:
            return
        if state == PEER_CLOSED_ITS_SIDE and not self.probed and not stream.answered and stream.http_version == "1.1":
            self.probed = True
            self.continues(stream)
        self.probe_answer()
        self.prober = self.loop.call_later(PROBE_SECONDS, self.on_probe)

    cdef int probe_answer(self) except -1:
        """Amid an answer a byte of the next chunk is sent ahead, now and then."""
        cdef Http1Stream stream = self.current
        cdef double t = now()
        if stream is None or self.paused or t < self.probe_after or not stream.may_lead():
            return 0
        self.probe_after = t + AGAIN_SECONDS * (1 + 3 * stream.led)
        stream.lead()
        return self.schedule_flush()

    def pause_writing(self):
        self.begin_pause()

    def resume_writing(self):
        self.paused = False
        self.delivered()
        self.flush()

    # --- the front's side

    def shutdown(self):
        """Closes behind the answer that is due, if one is."""
        if self.closed or self.ended:
            return
        self.lasts = False
        if self.current is None and not self.waiting:
            self.ended = True
            self.transport.close()

    def retire(self):
        """The next answer that begins says that the connection closes, and is the last one."""
        if self.current is None or not self.current.answered:
            self.lasts = False

    # --- what streams ask for

    cdef int schedule_flush(self) except -1:
        # What is read is followed by a flush anyway.
        return 0 if self.receiving or self.flushing else self.flush_soon()

    cdef int flush_soon(self) except -1:
        if not self.flush_due and not self.closed:
            self.flush_due = True
            self.loop.call_soon(self.on_flush, context=self.acceptor.context)
        return 0

    def on_flush(self):
        self.flush_due = False
        self.flush()

    cdef int continues(self, Http1Stream stream) except -1:
        if stream is not self.current or self.ended:
            return 0
        if self.receiving:
            # RFC 9110 10.1.1: it may be left out where the body has come, and some proxies fail over one that is late.
            self.continue_due = True
            return 0
        self.out.put(b"HTTP/1.1 100 Continue\r\n\r\n", 25)
        return self.schedule_flush()

    cdef int end_receiving(self) except -1:
        """What has come is parsed."""
        cdef Http1Stream stream = self.current
        self.receiving = False
        if self.continue_due:
            self.continue_due = False
            if stream is not None and not stream.body_begun and not stream.ended and not stream.answered:
                self.continues(stream)
        return 0

    cdef int consumed(self, Http1Stream stream) except -1:
        if not self.reading and not self.receiving and not self.flushing:
            self.look_at_reading()
        return 0

    cdef int crashed(self, Http1Stream stream, object error) except -1:
        self.failed(error)
        stream.crashed = True
        return self.schedule_flush()

    # --- answers

    cdef int flush(self) except -1:
        """Sends what handlers have to say, in as few writes as may be, and begins what waits for its turn: as far as one
        turn of the loop should bear."""
        cdef Http1Stream stream
        cdef Buffer out = self.out
        cdef Py_ssize_t begun = 0, sent = 0
        if self.flushing or self.receiving or self.closed:
            return 0
        self.flushing = True
        try:
            while not self.ended and not self.closed:
                stream = self.current
                if stream is None:
                    if self.paused or not self.waiting:
                        break
                    if begun >= TURN_BYTES:
                        self.flush_soon()
                        break
                    stream = self.waiting.popleft()
                    begun += stream.weight
                    self.begin(stream)
                    continue
                if self.unsettled and not stream.crashed:
                    self.settle_handler(stream)
                if stream.filling and not stream.broken and not stream.crashed and not self.paused:
                    self.fill(stream)
                if stream.crashed and not stream.answered:
                    self.end_with(FAILED)
                    break
                if stream.crashed or stream.broken:
                    self.end_broken()
                    break
                if stream.complete:
                    if out.size:
                        self.write()
                    if not self.is_delivered():
                        break             # who has gone before that got no whole answer
                    self.finish(stream)
                elif out.size < self.write_bytes:
                    break
                if out.size >= self.write_bytes and not self.closed:
                    sent += out.size
                    self.write()
                    if sent >= TURN_WRITTEN:
                        self.flush_soon()
                        break
            if out.size and not self.closed:
                self.write()
        finally:
            self.flushing = False
        return self.look_at_reading()

    cdef int fill(self, Http1Stream stream) except -1:
        cdef Buffer out = self.out
        try:
            while out.size < self.write_bytes:
                fault("front.fill")
                if not stream.fill_from_handler():
                    break
        except BaseException as error:
            self.crashed(stream, error)
        return 0

    cdef int begin(self, Http1Stream stream) except -1:
        """It is the stream's turn."""
        cdef bytes data
        cdef Handler handler
        self.current = stream
        self.unsettled = True
        if self.backlog and not self.waiting:
            # The rest of this request may be in it, without which its answer never comes.
            self.loop.call_soon(self.on_backlog, context=self.acceptor.context)
        try:
            fault("front.request")
            handler = answer_of(self.acceptor.servicer, stream)
            handler.last_activity = self.received
            stream.handler = handler
            came, stream.waiting = stream.waiting, None
            if came is not None:
                for data in came:
                    fault("front.data")
                    handler.on_data(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            if stream.ended:
                fault("front.end")
                handler.on_end()
        except BaseException as error:
            self.crashed(stream, error)
        return 0

    cdef int settle_handler(self, Http1Stream stream) except -1:
        self.unsettled = False
        try:
            fault("front.settled")
            stream.handler.on_settled()
        except BaseException as error:
            self.crashed(stream, error)
        return 0

    cdef int finish(self, Http1Stream stream) except -1:
        """The answer is complete."""
        self.current = None
        self.idle_since = now()
        try:
            stream.close(True)
        except BaseException as error:
            self.failed(error)
        if not stream.keeps or not self.lasts:
            return self.end_whole(stream)
        if self.acceptor.retiring:
            self.lasts = False                # this one had begun, and could not say so
        if not stream.ended:
            self.start_linger_timer(0)
        if self.waiting:
            return 0
        if self.refusal is not None:
            return self.end_with(self.refusal)
        if self.head_begun:
            # Nobody may have read it while there were requests before it.
            self.head_since = self.idle_since
        if self.backlog:
            self.loop.call_soon(self.on_backlog, context=self.acceptor.context)
        return 0

    def on_backlog(self):
        raise NotImplementedError

    cdef int rest(self) except -1:
        """Nothing more is read in this turn of the loop (PL-01): libuv would read up to 32 times. look_at_reading() follows."""
        if not self.rests:
            self.rests = True
            self.loop.call_soon(self.on_rested, context=self.acceptor.context)
        return 0

    def on_rested(self):
        self.rests = False
        if not self.closed:
            self.look_at_reading()

    cdef int look_at_reading(self) except -1:
        """While requests wait nothing more is read: each answer that ends would let in another read of them."""
        cdef bint wanted = not self.rests and (self.ended or not self.waiting and not self.backlog
                                               and (self.newest is None or self.newest.unconsumed <= MOST_UNREAD))
        if wanted == self.reading or self.closed or self.half_closed:
            return 0
        self.reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
        return 0

    # --- the end

    cdef int refuse(self, bytes words) except -1:
        """What came is no request: nothing more is read, and it is said behind the answers that are due (FR-13)."""
        if self.current is not None or self.waiting:
            self.refusal = words
            return 0
        return self.end_with(words)

    cdef int end_with(self, bytes words) except -1:
        """The last words on this connection."""
        self.out.put_bytes(words)
        return self.end_broken()

    cdef int end_broken(self) except -1:
        """Ends the connection where its answer stands: what was filled in is delivered, and nobody hears of the rest."""
        cdef Http1Stream stream = self.current
        self.ended = True
        self.current = None
        self.stop_timers()
        if stream is not None:
            self.drop(stream)
            if stream.looks_whole():
                return self.reset()
        return self.linger()

    cdef int reset(self) except -1:
        """Ends the connection so that its client hears of an error, at the price of what it has not read."""
        reset_at_close(self.fd)
        self.abort()
        return 0

    cdef int end_whole(self, Http1Stream stream) except -1:
        """Ends the connection behind an answer that is complete; its request may not be, or others may follow."""
        self.ended = True
        self.stop_timers()
        if not stream.ended or self.waiting:
            return self.linger()
        if self.out.size:
            self.write()
        if not self.closed:
            self.transport.close()
        return 0

    cdef int linger(self) except -1:
        """
        Reading goes on for a while, into nothing: closing with unread input would make the kernel reset the
        connection, and the client lose results that it has not read yet.
        """
        if self.closed or self.transport.is_closing():
            return 0
        if self.out.size:
            self.write()
        if self.closed:
            return 0
        self.backlog = b""
        self.look_at_reading()
        if not self.half_closed and self.transport.can_write_eof():
            self.transport.write_eof()
            return self.start_linger_timer(0)
        self.transport.close()
        return 0

    cdef int start_linger_timer(self, double stuck) except -1:
        self.linger_timer = self.loop.call_later(LINGER_SECONDS, self.on_lingered, self.untaken(), stuck)
        return 0

    def on_lingered(self, Py_ssize_t untaken, double stuck):
        """Cuts the connection, unless the client still takes what it was sent; stuck: seconds that it has not."""
        self.linger_timer = None
        if self.closed:
            return
        stuck = stuck + LINGER_SECONDS if self.untaken() == untaken else 0.0
        if untaken == 0 or stuck >= self.acceptor.head_seconds:
            self.abort()
        else:
            self.start_linger_timer(stuck)

    cdef int stop_timers(self) except -1:
        for timer in (self.linger_timer, self.prober):
            if timer is not None:
                timer.cancel()
        self.linger_timer = self.prober = None
        return 0

    cdef int drop_newest(self) except -1:
        """The request that came last will never be whole; answers before it are still due."""
        self.drop(self.waiting.pop())
        self.newest = self.waiting[len(self.waiting) - 1] if self.waiting else self.current
        return 0

    cdef int drop(self, Http1Stream stream) except -1:
        """The stream ends before its answer."""
        try:
            stream.close(False)
        except BaseException as error:
            self.failed(error)
        return 0

    # --- time

    cdef bint look_at_peer(self) except -1:
        """While nothing is read nobody else hears of its end; whether the connection has ended."""
        cdef int state = self.state_of_peer()
        if state == PEER_GONE or (state == PEER_CLOSED_ITS_SIDE and self.fd < 0):
            self.abort()                  # TLS has no half-closed connections here
            return True
        if self.current is not None:
            self.begin_probes()           # its FIN may be behind bytes that the system has not taken either
        return False

    cdef int sweep(self, double t) except -1:
        cdef Http1Stream stream = self.current
        if self.closed:
            return 0
        if self.paused:
            if self.takes(t):
                if stream is not None and stream.handler is not None:
                    stream.handler.on_taken(t)
            elif t - self.taken_at > self.acceptor.idle_seconds:
                if stream is not None:
                    self.tell_stalled(stream)
                self.abort()
                return 0
        if self.ended:
            return 0
        if not self.reading and self.look_at_peer():
            return 0
        if stream is not None:
            if stream.handler is not None:
                try:
                    fault("front.sweep")
                    stream.handler.on_sweep(t)
                except BaseException as error:
                    self.crashed(stream, error)
            return self.flush()
        if self.waiting:
            return 0
        if self.head_since:
            if t - self.head_since > self.acceptor.head_seconds:
                if self.head_begun:
                    return self.end_with(LATE)
                self.abort()
        elif t - self.idle_since > self.acceptor.keepalive_seconds:
            self.ended = True
            self.transport.close()
        return 0
