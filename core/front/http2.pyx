"""One HTTP/2 connection (RFC 9113), driven by nghttp2: bytes of the transport to streams, and back.

A Stream is one request; its Handler takes the body and fills the answer. What all streams want to say in one turn of
the loop goes out in one write. A stream's window opens when its handler has consumed what came, so a handler that
consumes nothing stops its client. Must never know what a request means, nor hold more of one than its window.
"""
from batchwire.core.faults cimport fault
from batchwire.core.front.connections cimport LINGER_SECONDS, TURN_WRITTEN
from batchwire.core.front.http2_stream cimport NARROW, accepted, Http2Stream, streams_open
from batchwire.core.front.nghttp2 cimport *
from batchwire.core.front.stream cimport ends_of, Handler
from batchwire.core.model cimport Buffer, now
from batchwire.core.scarce_log import ScarceLog
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint8_t, uint32_t

from random import random

cdef enum:
    REST_BYTES = 65536        # of a request that is answered, which are read away
    MAX_RESTS = 64            # requests of a connection of which that is done at once
    # What is taken from a connection in one turn of the loop, so that others have theirs (PL-01). Heads count as they
    # are decoded: HPACK makes 4 KB of one byte.
    TURN_BYTES = 131072

cdef double GOAWAY_SECONDS = 1.0  # between the notice of a shutdown and its last word (RFC 9113 6.8)
cdef double REST_SECONDS = 1.0    # for a client to end a request that is answered
cdef double PROBE_SECONDS = 0.5   # between pings to a client that has closed its side

cdef unsigned long long connections_open = 0
# Of all connections, set by http2_callbacks.pyx.
cdef nghttp2_session_callbacks* callbacks = NULL
cdef nghttp2_option* options = NULL
cdef nghttp2_data_source_read_callback read_callback = NULL


cdef int use(nghttp2_session_callbacks* made, nghttp2_option* chosen, nghttp2_data_source_read_callback read) except -1:
    """What nghttp2 is given with each connection."""
    global callbacks, options, read_callback
    callbacks = made
    options = chosen
    read_callback = read
    return 0


def stats():
    """Debug counters: connections and streams open now."""
    return {"connections": connections_open, "streams": streams_open}


cdef class Acceptor(Connections):
    """
    max_streams: streams at once of a connection. max_header_bytes: of one header section, as RFC 9113 6.5.2 counts.
    stream_window: bytes of a long request that nobody has consumed, while there is room. head_seconds: for a header section, and for the
    client's settings. idle_seconds: see Connections. keepalive_seconds: of silence, after which a
    ping asks whether the client is still there. ping_seconds: the least between pings of a client (FR-07), 0: any.
    request_rate: bytes a second at least of a message that has begun (FR-05), 0: any. request_bound: bytes of requests in
    the process (PL-13). connection_seconds: about as long a connection takes new streams (FR-14), 0: for ever.
    """

    def __init__(self, loop, *, int max_streams=1000, Py_ssize_t max_header_bytes=32768, int stream_window=524288,
                 double head_seconds=60, double idle_seconds=60, double keepalive_seconds=60,
                 double keepalive_timeout=20, double ping_seconds=4, double request_rate=0, Py_ssize_t request_bound=134217728,
                 double connection_seconds=0):
        super().__init__(loop, head_seconds, idle_seconds, keepalive_timeout / 4)
        self.max_streams = max_streams
        self.max_header_bytes = max_header_bytes
        self.stream_window = stream_window
        self.connection_window = 1 << 24
        self.keepalive_seconds = keepalive_seconds
        self.keepalive_timeout = keepalive_timeout
        self.ping_seconds = ping_seconds
        self.request_rate = request_rate
        self.request_bound = request_bound
        self.connection_seconds = connection_seconds
        self.calm_log = ScarceLog("a client asks for too much over HTTP/2", loop)

    cdef Handler accept(self, Http2Stream stream):
        """The handler of a stream, whose `stream` it is already."""
        raise NotImplementedError


cdef class Http2Connection(Http2Link):
    """An asyncio protocol. acceptor: what it has in common with the others."""

    def __init__(self, Acceptor acceptor not None):
        super().__init__(acceptor.loop)
        self.acceptor = acceptor
        self.read = read_callback
        self.max_header_bytes = acceptor.max_header_bytes
        self.request_rate = acceptor.request_rate
        self.request_bound = acceptor.request_bound
        self.stream_window = acceptor.stream_window
        self.streams = {}
        self.left = []
        self.rests = {}
        self.new_handlers = []

    def __dealloc__(self):
        nghttp2_session_del(self.session)

    # --- asyncio.Protocol

    def connection_made(self, transport):
        global connections_open
        connections_open += 1
        self.transport = transport
        self.received = now()
        self.guard = Guard(self.received, self.acceptor.ping_seconds)
        self.ends = ends_of(self.acceptor.loop, transport, self.acceptor.idle_seconds)
        if self.ends.scheme == "http":
            self.fd = transport.get_extra_info("socket").fileno()
        self.heads_since = self.received
        if self.acceptor.connection_seconds > 0:
            # Not all that were made together are renewed together.
            self.ends_at = self.received + self.acceptor.connection_seconds * (0.9 + 0.2 * random())
        self.acceptor.connections.add(self)
        self.begin()
        self.flush()

    def data_received(self, bytes data):
        if self.closing:
            return
        self.received = now()
        self.pinged = 0
        self.take_in(data if self.backlog is None else self.backlog + data)

    def on_backlog(self):
        """A further turn for what was read before."""
        self.backlog_due = False
        if self.backlog is None or self.closed:
            return
        if self.closing:
            self.backlog = None
            self.transport.resume_reading()
            return
        self.received = now()
        self.take_in(self.backlog)

    cdef int take_in(self, bytes data) except -1:
        """As much of what was read as one turn of the loop should bear; the rest, which is all, has its turn later."""
        cdef Handler handler
        cdef ssize_t n
        self.spent = 0
        self.cut_short = False
        self.receiving = True
        n = nghttp2_session_mem_recv(self.session, <const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        self.receiving = False
        if n <= NGHTTP2_ERR_FLOODED:
            # A flood of the kinds that nghttp2 counts itself; the numbers below are of later versions.
            self.goaway_enhance_your_calm(b"too many frames at once")
            return self.flush()
        if n < 0:
            # No preface, or no memory: there is nothing to tell.
            self.closing = True
            self.flush()
            if self.transport is not None:
                self.transport.close()
            return 0
        if self.new_handlers:
            begun, self.new_handlers = self.new_handlers, []
            for handler in begun:
                if handler.stream is not None:
                    try:
                        fault("front.settled")
                        handler.on_settled()
                    except Exception as error:
                        handler.stream.fail(error)
        self.flush()
        return self.keep_back(data[n:])

    cdef int keep_back(self, bytes rest) except -1:
        """Nothing more is read while there is something that waits for its turn."""
        if self.closed:
            return 0
        if not self.cut_short:
            if self.backlog is not None:
                self.backlog = None
                self.transport.resume_reading()
            return 0
        if self.backlog is None:
            self.transport.pause_reading()
        self.backlog = rest               # even of no bytes: nghttp2 has not come to the end of what it was given
        if not self.backlog_due:
            self.backlog_due = True
            self.acceptor.loop.call_soon(self.on_backlog)
        return 0

    def eof_received(self):
        """FR-06: a client that has asked and closed its side is answered; what it has not said whole ends."""
        cdef Http2Stream stream
        if self.fd < 0 or self.closed or self.closing:
            return False          # TLS has no half-closed connections here
        self.half_closed = True
        for stream in list(self.streams.values()):
            if not stream.ended:
                accepted(nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_CANCEL))
        self.flush()
        if self.closed or not self.streams:
            return False
        self.on_probe()
        return True

    def on_probe(self):
        """Whether the client still reads: one that has closed both sides makes the second write fail."""
        self.prober = None
        if self.closed:
            return
        accepted(nghttp2_submit_ping(self.session, NGHTTP2_FLAG_NONE, NULL))
        self.flush()
        if not self.closed:
            self.prober = self.acceptor.loop.call_later(PROBE_SECONDS, self.on_probe)

    def connection_lost(self, exc):
        global connections_open
        cdef Http2Stream stream
        connections_open -= 1
        self.closed = self.closing = True
        self.fd = -1
        self.transport = None
        self.acceptor.lost(self)
        if self.finisher is not None:
            self.finisher.cancel()
            self.finisher = None
        if self.prober is not None:
            self.prober.cancel()
            self.prober = None
        if self.rest_timer is not None:
            self.rest_timer.cancel()
            self.rest_timer = None
        for stream in [*self.left, *self.streams.values()]:
            try:
                stream.close(NGHTTP2_CANCEL)
            except Exception as error:
                self.failed(error)
        self.left.clear()
        self.streams.clear()

    def pause_writing(self):
        self.begin_pause()

    def resume_writing(self):
        self.paused = False
        self.delivered()
        self.flush()

    # --- the front's side

    def drain(self):
        """Takes no more streams, in such a way that no request of the client is lost (RFC 9113 6.8)."""
        if self.closed or self.closing or self.finisher is not None:
            return
        accepted(nghttp2_submit_shutdown_notice(self.session))
        self.flush()
        self.finisher = self.acceptor.loop.call_later(GOAWAY_SECONDS, self.shutdown)

    def shutdown(self):
        """Closes when the streams that run have ended."""
        if self.closed or self.closing:
            return
        self.go_away(NGHTTP2_NO_ERROR, b"")
        self.flush()

    # --- in

    cdef int begin(self) except -1:
        cdef nghttp2_settings_entry settings[3]
        if nghttp2_session_server_new2(&self.session, callbacks, <void*>self, options) != 0:
            raise MemoryError()
        settings[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        settings[0].value = self.acceptor.max_streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = min(self.acceptor.stream_window, NARROW)
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[2].value = <uint32_t>self.acceptor.max_header_bytes
        accepted(nghttp2_submit_settings(self.session, NGHTTP2_FLAG_NONE, settings, 3))
        accepted(nghttp2_session_set_local_window_size(self.session, NGHTTP2_FLAG_NONE, 0, self.acceptor.connection_window))
        return 0

    cdef int spend(self, Py_ssize_t n) noexcept:
        """Counts what came; what a callback of nghttp2 then says, which may be that this turn is over."""
        self.spent += n
        if self.spent <= TURN_BYTES:
            return 0
        self.cut_short = True
        return NGHTTP2_ERR_PAUSE

    cdef int open(self, int32_t stream_id) except -1:
        cdef Http2Stream stream = Http2Stream.__new__(Http2Stream)
        stream.begin(self, stream_id)
        stream.ends = self.ends
        stream.began = self.received
        self.streams[stream_id] = stream
        self.heads_since = self.received
        nghttp2_session_set_stream_user_data(self.session, stream_id, <void*>stream)
        return 0

    cdef int request(self, Http2Stream stream) except -1:
        """The head is complete."""
        cdef Handler handler
        stream.heads_done = True
        self.heads_since = 0
        self.spent += HEAD_BYTES
        handler = self.acceptor.accept(stream)
        handler.last_activity = self.received
        stream.handler = handler
        self.new_handlers.append(handler)
        return 0

    cdef int hear_out(self, Http2Stream stream) except -1:
        """
        The answer has ended before its request, of which the client need not send the rest (RFC 9113 8.1).

        Some clients report the RST_STREAM that says so in the place of the answer. So a small rest is read away first,
        of a few streams and for a short while.
        """
        if stream.handler is None or not stream.handler.hears_out or self.half_closed or len(self.rests) >= MAX_RESTS:
            accepted(nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR))
            return 0
        stream.rest = REST_BYTES
        self.rests[stream.id] = now()
        if self.rest_timer is None:
            self.rest_timer = self.acceptor.loop.call_later(REST_SECONDS, self.on_rests)
        return 0

    def on_rests(self):
        """Ends the streams whose clients have not said the rest in time."""
        cdef double t = now()
        cdef double left
        self.rest_timer = None
        for stream_id, since in list(self.rests.items()):
            left = since + REST_SECONDS - t
            if left > 0:
                self.rest_timer = self.acceptor.loop.call_later(left, self.on_rests)
                break
            del self.rests[stream_id]
            accepted(nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR))
        self.flush()

    cdef int go_away(self, uint32_t code, bytes why) except -1:
        if not self.refusing:
            self.refusing = True
            self.last_taken = nghttp2_session_get_last_proc_stream_id(self.session)
        return accepted(nghttp2_submit_goaway(
            self.session, NGHTTP2_FLAG_NONE, self.last_taken, code,
            <const uint8_t*>PyBytes_AS_STRING(why), PyBytes_GET_SIZE(why)))

    cdef int refuse_new_streams(self, bytes why) except -1:
        """
        The client breaks off too many streams: no more of them, and those that run end first (FR-02).

        It may be a proxy, with many clients behind it that have done nothing. One that goes on all the same is cut.
        """
        if self.refusing or not self.streams:
            return self.goaway_enhance_your_calm(why)
        self.guard.renew()
        self.acceptor.calm_log.add(address=self.ends.peer, reason=why.decode())
        self.go_away(NGHTTP2_ENHANCE_YOUR_CALM, why)
        return self.schedule_flush()

    cdef int goaway_enhance_your_calm(self, bytes why) except -1:
        """The client asks for too much: ends the connection and says why."""
        if self.closing:
            return 0
        self.closing = True
        self.acceptor.calm_log.add(address=self.ends.peer, reason=why.decode())
        self.go_away(NGHTTP2_ENHANCE_YOUR_CALM, why)
        accepted(nghttp2_session_terminate_session(self.session, NGHTTP2_ENHANCE_YOUR_CALM))
        return self.schedule_flush()

    # --- out

    cdef int schedule_flush(self) except -1:
        # What is read is followed by a flush anyway.
        if not self.flush_due and not self.receiving and not self.closed:
            self.flush_due = True
            self.acceptor.loop.call_soon(self.on_flush)
        return 0

    def on_flush(self):
        self.flush_due = False
        self.flush()

    cdef int flush(self) except -1:
        """Sends what nghttp2 has to send, in as few writes as may be, as far as one turn of the loop should bear (PL-01)."""
        cdef const uint8_t* p
        cdef ssize_t n
        cdef Py_ssize_t sent = 0
        cdef Buffer out = self.out
        cdef bint more = False
        if self.closed or self.receiving or self.flushing:
            return 0
        self.flushing = True
        try:
            while not self.paused and not self.closed:
                while out.size < self.write_bytes:
                    n = nghttp2_session_mem_send(self.session, &p)
                    if n <= 0:
                        if n < 0:
                            # A callback failed, or there is no memory: nothing more can be said on this connection.
                            self.closing = True
                            self.abort()
                        break
                    out.put(<const char*>p, n)
                if out.size == 0:
                    break
                sent += out.size
                self.write()
                if sent >= TURN_WRITTEN:
                    more = True
                    break
            if self.left and out.size == 0:
                self.close_left()
        finally:
            self.flushing = False
        if more:
            self.schedule_flush()
        return self.check_end()

    cdef int close_left(self) except -1:
        """Ends streams of which the system has the last words; who has gone before that got no whole answer."""
        cdef Http2Stream stream
        if not self.is_delivered():
            return 0
        ended, self.left = self.left, []
        for stream in ended:
            try:
                stream.close(NGHTTP2_NO_ERROR)
            except Exception as error:
                self.failed(error)
        return 0

    cdef int check_end(self) except -1:
        """
        Ends the connection when nghttp2 wants nothing more.

        Reading goes on for a while, into nothing: closing while the client still sends (it answers data with window
        updates) would make the kernel reset the connection, and the client lose what it has not read.
        """
        if self.half_closed and not self.closed and not self.streams and not self.left and self.out.size == 0:
            self.closed = self.closing = True
            self.transport.close()
            return 0
        if self.closed or self.lingers_since or nghttp2_session_want_read(self.session) \
                or nghttp2_session_want_write(self.session):
            return 0
        self.closing = True
        self.lingers_since = now()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
        return 0

    # --- time

    cdef int sweep(self, double t) except -1:
        cdef Http2Stream stream
        cdef Acceptor acceptor = self.acceptor
        if self.closed:
            return 0
        if self.heads_since and t - self.heads_since > acceptor.head_seconds:
            # Neither preface and settings nor a whole header section: nobody who means it.
            self.transport.abort()
            return 0
        if self.paused:
            if self.takes(t):
                for stream in [*self.left, *self.streams.values()]:
                    if stream.handler is not None:
                        stream.handler.on_taken(t)
            elif t - self.taken_at > acceptor.idle_seconds:
                for stream in [*self.left, *self.streams.values()]:
                    self.tell_stalled(stream)
                self.transport.abort()
                return 0
        if self.closing:
            if self.lingers_since and t - self.lingers_since > LINGER_SECONDS:
                self.transport.abort()
            return 0
        if self.pinged and t - self.pinged > acceptor.keepalive_timeout:
            self.transport.abort()
            return 0
        if self.ends_at and t > self.ends_at and not self.half_closed:
            self.ends_at = 0
            self.drain()
        if not self.pinged and not self.half_closed and t - self.received > acceptor.keepalive_seconds:
            self.pinged = t
            accepted(nghttp2_submit_ping(self.session, NGHTTP2_FLAG_NONE, NULL))
        for stream in list(self.streams.values()):
            if stream.handler is not None:
                try:
                    fault("front.sweep")
                    stream.handler.on_sweep(t)
                except Exception as error:
                    stream.fail(error)
        return self.flush()
