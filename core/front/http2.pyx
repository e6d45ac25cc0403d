"""One HTTP/2 connection (RFC 9113), driven by nghttp2: bytes of the transport to streams, and back.

A Stream is one request; its Handler takes the body and fills the answer. What all streams want to say in one turn of
the loop goes out in one write. A stream's window opens when its handler has consumed what came, so a handler that
consumes nothing stops its client. Must never know what a request means, nor hold more of one than its window.
"""
from batchwire.core.faults cimport fault
from batchwire.core.front.connections cimport LINGER_SECONDS, WRITE_BYTES
from batchwire.core.front.nghttp2 cimport *
from batchwire.core.front.stream cimport ends_of, FILL_MORE, FILL_TRAILERS, FillEnd, Handler, Stream
from batchwire.core.model cimport Buffer, now
from batchwire.core.scarce_log import ScarceLog
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp

from random import random

cdef enum:
    REST_BYTES = 65536        # of a request that is answered, which are read away
    MAX_RESTS = 64            # requests of a connection of which that is done at once
    MAX_STORED = 67108864     # bytes of unfinished messages; one message may always be as long as allowed
    # What is taken from a connection in one turn of the loop, so that others have theirs (PL-01). Heads count as they
    # are decoded: HPACK makes 4 KB of one byte.
    TURN_BYTES = 131072
    HEAD_BYTES = 512          # what a request counts for besides its head, and again when its body begins
    CHUNK_BYTES = 256         # what a frame of a body counts for

cdef double GOAWAY_SECONDS = 1.0  # between the notice of a shutdown and its last word (RFC 9113 6.8)
cdef double REST_SECONDS = 1.0    # for a client to end a request that is answered
cdef double PROBE_SECONDS = 0.5   # between pings to a client that has closed its side

cdef unsigned long long connections_open = 0
cdef unsigned long long streams_open = 0


def stats():
    """Debug counters: connections and streams open now."""
    return {"connections": connections_open, "streams": streams_open}


cdef void field(nghttp2_nv* nv, const char* name, size_t name_len, const char* value, size_t value_len) noexcept:
    """Fills in a header field; nghttp2 copies what it points to."""
    nv.name = <uint8_t*>name
    nv.namelen = name_len
    nv.value = <uint8_t*>value
    nv.valuelen = value_len
    nv.flags = NGHTTP2_NV_FLAG_NONE


cdef int accepted(int code) except -1:
    """What nghttp2 does not take is a fault of ours, but for what is said of a stream or a connection that is over."""
    if code == NGHTTP2_ERR_NOMEM:
        raise MemoryError()
    if code < 0 and code != NGHTTP2_ERR_STREAM_CLOSED and code != NGHTTP2_ERR_INVALID_STREAM_ID \
            and code != NGHTTP2_ERR_INVALID_STATE:
        raise RuntimeError("nghttp2: " + nghttp2_strerror(code).decode())
    return 0


cdef class Acceptor(Connections):
    """
    max_streams: streams at once of a connection. max_header_bytes: of one header section, as RFC 9113 6.5.2 counts.
    stream_window: bytes of a request that nobody has consumed. head_seconds: for a header section, and for the
    client's settings. idle_seconds: see Connections. keepalive_seconds: of silence, after which a
    ping asks whether the client is still there. ping_seconds: the least between pings of a client (FR-07), 0: any.
    request_rate: bytes a second at least of a message that has begun (FR-05), 0: any. connection_seconds: about as long a
    connection takes new streams (FR-14), 0: for ever.
    """

    def __init__(self, loop, *, int max_streams=1000, Py_ssize_t max_header_bytes=32768, int stream_window=524288,
                 double head_seconds=60, double idle_seconds=60, double keepalive_seconds=60,
                 double keepalive_timeout=20, double ping_seconds=4, double request_rate=0,
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
        self.connection_seconds = connection_seconds
        self.calm_log = ScarceLog("a client asks for too much over HTTP/2")

    cdef Handler accept(self, Http2Stream stream):
        """The handler of a stream, whose `stream` it is already."""
        raise NotImplementedError


cdef class Http2Stream(Stream):
    # --- for handlers

    cdef int start(self, int status, list headers, bint body) except -1:
        cdef bytes code = b"%d" % status
        cdef bytes name, value
        cdef size_t n = 1
        cdef nghttp2_nv* fields = <nghttp2_nv*>PyMem_Malloc((1 + len(headers)) * sizeof(nghttp2_nv))
        if fields == NULL:
            raise MemoryError()
        try:
            field(&fields[0], ":status", 7, PyBytes_AS_STRING(code), PyBytes_GET_SIZE(code))
            for name, value in headers:
                if name == b"connection":
                    continue              # RFC 9113 8.2.2: it has no place in HTTP/2
                field(&fields[n], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                      PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
                n += 1
            return self.respond(fields, n, body)
        finally:
            PyMem_Free(fields)

    cdef int respond(self, const nghttp2_nv* fields, size_t n, bint body) except -1:
        """start() with the fields as nghttp2 has them, `:status` first."""
        cdef nghttp2_data_provider provider
        provider.source.ptr = NULL
        provider.read_callback = on_read
        self.answered = True
        accepted(nghttp2_submit_response(self.connection.session, self.id, fields, n, &provider if body else NULL))
        return self.connection.schedule_flush()

    cdef int go_ahead(self) except -1:
        cdef nghttp2_nv[1] fields
        if self.answered or self.continued:
            return 0
        self.continued = True
        field(&fields[0], ":status", 7, "100", 3)
        accepted(nghttp2_submit_headers(self.connection.session, NGHTTP2_FLAG_NONE, self.id, NULL, fields, 1, NULL))
        return self.connection.schedule_flush()

    cdef int trailers(self, const nghttp2_nv* fields, size_t n) except -1:
        """Ends the answer with trailers; called in fill(), which then says FILL_TRAILERS."""
        return accepted(nghttp2_submit_trailer(self.connection.session, self.id, fields, n))

    cdef int put_trailer(self, bytes name, bytes value) except -1:
        cdef nghttp2_nv one
        field(&one, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        return self.trailers(&one, 1)

    cdef int cut(self) except -1:
        return self.reset(NGHTTP2_CANCEL)

    cdef int break_off(self) except -1:
        return self.reset(NGHTTP2_INTERNAL_ERROR)

    cdef int reset(self, uint32_t code) except -1:
        accepted(nghttp2_submit_rst_stream(self.connection.session, NGHTTP2_FLAG_NONE, self.id, code))
        return self.connection.schedule_flush()

    cdef int wake(self) except -1:
        # It is no fault where nothing is deferred, the only other reason for it to refuse.
        if nghttp2_session_resume_data(self.connection.session, self.id) == NGHTTP2_ERR_NOMEM:
            raise MemoryError()
        return self.connection.schedule_flush()

    cdef int consume(self, Py_ssize_t n) except -1:
        if n:
            accepted(nghttp2_session_consume_stream(self.connection.session, self.id, n))
            if nghttp2_session_want_write(self.connection.session):
                self.connection.schedule_flush()
        return 0

    cdef bint store(self, Py_ssize_t more, Py_ssize_t longest) except -1:
        self.connection.stored += more
        return self.connection.stored <= max(<Py_ssize_t>MAX_STORED, longest)

    cdef int fail(self, object error) except -1:
        self.connection.failed(error)
        return 0 if self.connection.closed else self.reset(NGHTTP2_INTERNAL_ERROR)

    # --- for the callbacks

    cdef int add(self, const char* name, size_t name_len, const char* value, size_t value_len) except -1:
        cdef bytes said
        self.header_bytes += name_len + value_len + 32
        if self.too_large:
            return 0
        if self.header_bytes > self.connection.home.max_header_bytes:
            self.too_large = True
            self.headers.clear()
            return 0
        if name[0] != b":":
            # FR-08: RFC 9110 5.5, what is around a value is none of it.
            while value_len and (value[0] == b" " or value[0] == b"\t"):
                value += 1
                value_len -= 1
            while value_len and (value[value_len - 1] == b" " or value[value_len - 1] == b"\t"):
                value_len -= 1
        said = PyBytes_FromStringAndSize(value, value_len)
        if name[0] == b":":
            if name_len == 5 and memcmp(name, ":path", 5) == 0:
                self.path = said
            elif name_len == 7 and memcmp(name, ":method", 7) == 0:
                self.method = said
            elif name_len == 10 and memcmp(name, ":authority", 10) == 0:
                self.authority = said
            return 0
        if name_len == 12 and memcmp(name, "content-type", 12) == 0:
            self.content_type = said
        self.headers.append((PyBytes_FromStringAndSize(name, name_len), said))
        return 0

    cdef int close(self, uint32_t code) except -1:
        global streams_open
        streams_open -= 1
        return self.leave(code == NGHTTP2_NO_ERROR)


cdef class Http2Connection(Connection):
    """An asyncio protocol. home: what it has in common with the others."""

    def __init__(self, Acceptor home not None):
        super().__init__(home.loop)
        self.home = home
        self.streams = {}
        self.rests = {}
        self.fresh = []

    def __dealloc__(self):
        nghttp2_session_del(self.session)

    # --- asyncio.Protocol

    def connection_made(self, transport):
        global connections_open
        connections_open += 1
        self.transport = transport
        self.received = now()
        self.guard = Guard(self.received, self.home.ping_seconds)
        self.ends = ends_of(self.home.loop, transport, self.home.idle_seconds)
        if self.ends.scheme == "http":
            self.fd = transport.get_extra_info("socket").fileno()
        self.heads_since = self.received
        if self.home.connection_seconds > 0:
            # Not all that were made together are renewed together.
            self.ends_at = self.received + self.home.connection_seconds * (0.9 + 0.2 * random())
        self.home.connections.add(self)
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
            self.calm(b"too many frames at once")
            return self.flush()
        if n < 0:
            # No preface, or no memory: there is nothing to tell.
            self.closing = True
            self.flush()
            if self.transport is not None:
                self.transport.close()
            return 0
        if self.fresh:
            fresh, self.fresh = self.fresh, []
            for handler in fresh:
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
            self.home.loop.call_soon(self.on_backlog)
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
            self.prober = self.home.loop.call_later(PROBE_SECONDS, self.on_probe)

    def connection_lost(self, exc):
        global connections_open
        cdef Http2Stream stream
        connections_open -= 1
        self.closed = self.closing = True
        self.fd = -1
        self.transport = None
        self.home.lost(self)
        if self.finisher is not None:
            self.finisher.cancel()
            self.finisher = None
        if self.prober is not None:
            self.prober.cancel()
            self.prober = None
        if self.rest_timer is not None:
            self.rest_timer.cancel()
            self.rest_timer = None
        for stream in list(self.streams.values()):
            try:
                stream.close(NGHTTP2_CANCEL)
            except Exception as error:
                self.failed(error)
        self.streams.clear()

    def pause_writing(self):
        self.begin_pause()

    def resume_writing(self):
        self.paused = False
        self.flush()

    # --- the front's side

    def drain(self):
        """Takes no more streams, in such a way that no request of the client is lost (RFC 9113 6.8)."""
        if self.closed or self.closing or self.finisher is not None:
            return
        accepted(nghttp2_submit_shutdown_notice(self.session))
        self.flush()
        self.finisher = self.home.loop.call_later(GOAWAY_SECONDS, self.shutdown)

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
        settings[0].value = self.home.max_streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = self.home.stream_window
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[2].value = <uint32_t>self.home.max_header_bytes
        accepted(nghttp2_submit_settings(self.session, NGHTTP2_FLAG_NONE, settings, 3))
        accepted(nghttp2_session_set_local_window_size(self.session, NGHTTP2_FLAG_NONE, 0, self.home.connection_window))
        return 0

    cdef int spend(self, Py_ssize_t n) noexcept:
        """Counts what came; what a callback of nghttp2 then says, which may be that this turn is over."""
        self.spent += n
        if self.spent <= TURN_BYTES:
            return 0
        self.cut_short = True
        return NGHTTP2_ERR_PAUSE

    cdef int open(self, int32_t stream_id) except -1:
        global streams_open
        cdef Http2Stream stream = Http2Stream.__new__(Http2Stream)
        streams_open += 1
        stream.connection = self
        stream.ends = self.ends
        stream.http_version = "2"
        stream.id = stream_id
        stream.began = self.received
        stream.headers = []
        stream.method = stream.path = stream.authority = stream.content_type = b""
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
        handler = self.home.accept(stream)
        handler.moved = self.received
        stream.handler = handler
        self.fresh.append(handler)
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
            self.rest_timer = self.home.loop.call_later(REST_SECONDS, self.on_rests)
        return 0

    def on_rests(self):
        """Ends the streams whose clients have not said the rest in time."""
        cdef double t = now()
        cdef double left
        self.rest_timer = None
        for stream_id, since in list(self.rests.items()):
            left = since + REST_SECONDS - t
            if left > 0:
                self.rest_timer = self.home.loop.call_later(left, self.on_rests)
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

    cdef int wind_down(self, bytes why) except -1:
        """
        The client breaks off too many streams: no more of them, and those that run end first (FR-02).

        It may be a proxy, with many clients behind it that have done nothing. One that goes on all the same is cut.
        """
        if self.refusing or not self.streams:
            return self.calm(why)
        self.guard.renew()
        self.home.calm_log.add(address=self.ends.peer, reason=why.decode())
        self.go_away(NGHTTP2_ENHANCE_YOUR_CALM, why)
        return self.schedule_flush()

    cdef int calm(self, bytes why) except -1:
        """The client asks for too much: ends the connection and says why."""
        if self.closing:
            return 0
        self.closing = True
        self.home.calm_log.add(address=self.ends.peer, reason=why.decode())
        self.go_away(NGHTTP2_ENHANCE_YOUR_CALM, why)
        accepted(nghttp2_session_terminate_session(self.session, NGHTTP2_ENHANCE_YOUR_CALM))
        return self.schedule_flush()

    # --- out

    cdef int schedule_flush(self) except -1:
        # What is read is followed by a flush anyway.
        if not self.flush_due and not self.receiving and not self.closed:
            self.flush_due = True
            self.home.loop.call_soon(self.on_flush)
        return 0

    def on_flush(self):
        self.flush_due = False
        self.flush()

    cdef int flush(self) except -1:
        """Sends what nghttp2 has to send, in as few writes as may be."""
        cdef const uint8_t* p
        cdef ssize_t n
        cdef Buffer out = self.out
        if self.closed or self.receiving or self.flushing:
            return 0
        self.flushing = True
        try:
            while not self.paused and not self.closed:
                while out.size < WRITE_BYTES:
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
                self.write()
        finally:
            self.flushing = False
        return self.check_end()

    cdef int check_end(self) except -1:
        """
        Ends the connection when nghttp2 wants nothing more.

        Reading goes on for a while, into nothing: closing while the client still sends (it answers data with window
        updates) would make the kernel reset the connection, and the client lose what it has not read.
        """
        if self.half_closed and not self.closed and not self.streams and self.out.size == 0:
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
        cdef Acceptor home = self.home
        if self.closed:
            return 0
        if self.heads_since and t - self.heads_since > home.head_seconds:
            # Neither preface and settings nor a whole header section: nobody who means it.
            self.transport.abort()
            return 0
        if self.paused:
            if self.takes(t):
                for stream in self.streams.values():
                    if stream.handler is not None:
                        stream.handler.on_taken(t)
            elif t - self.taken_at > home.idle_seconds:
                self.transport.abort()
                return 0
        if self.closing:
            if self.lingers_since and t - self.lingers_since > LINGER_SECONDS:
                self.transport.abort()
            return 0
        if self.pinged and t - self.pinged > home.keepalive_timeout:
            self.transport.abort()
            return 0
        if self.ends_at and t > self.ends_at and not self.half_closed:
            self.ends_at = 0
            self.drain()
        if not self.pinged and not self.half_closed and t - self.received > home.keepalive_seconds:
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


# --- nghttp2's callbacks. An error must not pass through C code: it costs the stream, or the connection.

cdef inline Http2Stream stream_of(nghttp2_session* session, int32_t stream_id):
    cdef void* p = nghttp2_session_get_stream_user_data(session, stream_id)
    return <Http2Stream>p if p != NULL else None


cdef int on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* hd, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef double cost = 0
    cdef bint answers = False
    try:
        if hd.type == NGHTTP2_DATA:
            if hd.length == 0 and not hd.flags & NGHTTP2_FLAG_END_STREAM:
                cost = 1
        elif hd.type == NGHTTP2_HEADERS:
            # An unfinished one would keep the connection in the middle of something. Those of a stream that is over
            # are passed over by nghttp2, which says nothing when they end.
            if hd.stream_id in connection.streams:
                connection.heads_since = connection.received
            elif hd.stream_id > nghttp2_session_get_last_proc_stream_id(session):
                if connection.refusing:
                    cost = 1              # after a GOAWAY it is passed over
                else:
                    connection.heads_since = connection.received
        elif hd.type == NGHTTP2_PING:
            if not hd.flags & NGHTTP2_FLAG_ACK and not connection.guard.ping(connection.received):
                connection.calm(b"too_many_pings")
                return 0
            answers = True
        elif hd.type == NGHTTP2_WINDOW_UPDATE:
            answers = True
        elif hd.type == NGHTTP2_SETTINGS:
            cost = 0 if hd.flags & NGHTTP2_FLAG_ACK else 5
        elif hd.type == NGHTTP2_RST_STREAM:
            cost = 0                      # the stream's end decides
        else:
            cost = 1
        if answers and not connection.guard.answer(connection.received) \
                or cost and not connection.guard.spend(cost, connection.received):
            connection.calm(b"too many frames that bring nothing")
        return 0
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    try:
        if frame.headers.cat == NGHTTP2_HCAT_REQUEST:
            if connection.refusing and frame.hd.stream_id > connection.last_taken:
                # The client is told that nothing is done of it, and may have sent it before it could know (RFC 9113 6.8).
                accepted(nghttp2_submit_rst_stream(
                    session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM))
            else:
                connection.open(frame.hd.stream_id)
        return 0
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int on_header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t namelen,
                   const uint8_t* value, size_t valuelen, uint8_t flags, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    try:
        stream = stream_of(session, frame.hd.stream_id)
        if stream is not None:
            if stream.heads_done:
                # Trailers of a request: counted, and of no use to anybody.
                stream.header_bytes += namelen + valuelen + 32
                if stream.header_bytes > 2 * connection.home.max_header_bytes:
                    connection.heads_since = 0
                    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
            else:
                stream.add(<const char*>name, namelen, <const char*>value, valuelen)
                # What goes on for ever after the bound is no head that deserves an answer.
                if stream.header_bytes > 8 * connection.home.max_header_bytes:
                    connection.calm(b"header section too large")
        return connection.spend(namelen + valuelen + 32)
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int on_frame_recv(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    try:
        if frame.hd.type == NGHTTP2_SETTINGS:
            connection.heads_since = 0
        elif frame.hd.type == NGHTTP2_RST_STREAM:
            # on_stream_close() counts those that end a stream; these look as if it had ended well, or has.
            stream = stream_of(session, frame.hd.stream_id)
            if stream is None:
                if not connection.guard.cancel(1, False, connection.received):
                    connection.calm(b"too many resets of nothing")
            elif frame.rst_stream.error_code == NGHTTP2_NO_ERROR and not connection.guard.cancel(
                    connection.received - stream.began, stream.answered, connection.received):
                connection.wind_down(b"too many streams are broken off")
        if frame.hd.type != NGHTTP2_HEADERS and frame.hd.type != NGHTTP2_DATA:
            return 0
        connection.heads_since = 0
        stream = stream_of(session, frame.hd.stream_id)
        if stream is None:
            return 0
        if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            stream.ended = True
        if not stream.heads_done:
            fault("front.request")
            connection.request(stream)
        if stream.ended and stream.handler is not None:
            fault("front.end")
            stream.handler.on_end()
        return 0
    except BaseException as error:
        connection.failed(error)
        if nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_INTERNAL_ERROR) != 0:
            return NGHTTP2_ERR_CALLBACK_FAILURE
        return 0


cdef int on_invalid_frame(nghttp2_session* session, const nghttp2_frame* frame, int why, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    try:
        if frame.hd.type == NGHTTP2_HEADERS:
            # The stream is reset, the connection goes on; on_frame_recv() is not called.
            connection.heads_since = 0
            if stream_of(session, frame.hd.stream_id) is None and not connection.guard.spend(1, connection.received):
                # Streams beyond the bound: each costs an answer, and none is ever opened.
                connection.calm(b"too many streams are refused")
        return 0
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    try:
        if frame.hd.flags & NGHTTP2_FLAG_END_STREAM and (
                frame.hd.type == NGHTTP2_HEADERS or frame.hd.type == NGHTTP2_DATA):
            # on_read() says the same for data; an answer may have none.
            connection.guard.answered()
            stream = stream_of(session, frame.hd.stream_id)
            if stream is not None and not stream.ended:
                connection.hear_out(stream)
        return 0
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int on_data_chunk(nghttp2_session* session, uint8_t flags, int32_t stream_id, const uint8_t* data, size_t n,
                       void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    try:
        accepted(nghttp2_session_consume_connection(session, n))
        stream = stream_of(session, stream_id)
        if stream is not None and connection.rests and stream_id in connection.rests:
            stream.rest -= n
            if stream.rest >= 0:
                stream.consume(n)
            else:
                del connection.rests[stream_id]
                accepted(nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR))
        elif stream is not None and stream.handler is not None:
            stream.handler.moved = connection.received
            fault("front.data")
            stream.handler.on_data(<const char*>data, n)
            if not stream.body_begun:
                # A call of gRPC looks at its head now.
                stream.body_begun = True
                connection.spent += HEAD_BYTES + stream.header_bytes
        return connection.spend(CHUNK_BYTES)
    except BaseException as error:
        connection.failed(error)
        if nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_INTERNAL_ERROR) != 0:
            return NGHTTP2_ERR_CALLBACK_FAILURE
        return 0


cdef int on_stream_close(nghttp2_session* session, int32_t stream_id, uint32_t code, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    try:
        stream = connection.streams.pop(stream_id, None)
        connection.rests.pop(stream_id, None)
        if stream is not None:
            nghttp2_session_set_stream_user_data(session, stream_id, NULL)
            if code != NGHTTP2_NO_ERROR and not connection.half_closed and not connection.guard.cancel(
                    connection.received - stream.began, stream.answered, connection.received):
                # Streams that are broken off cost work, whoever resets them (rapid reset, and its other direction).
                connection.wind_down(b"too many streams are broken off")
            stream.close(code)
        return 0
    except BaseException as error:
        # BU-04: the stream is gone in any case, and the others have nothing to do with it.
        connection.failed(error)
        return 0


cdef ssize_t on_read(nghttp2_session* session, int32_t stream_id, uint8_t* buf, size_t length, uint32_t* data_flags,
                     nghttp2_data_source* source, void* user_data) noexcept:
    cdef Http2Connection connection = <Http2Connection>user_data
    cdef Http2Stream stream
    cdef FillEnd end = FILL_MORE
    cdef Py_ssize_t n
    try:
        stream = stream_of(session, stream_id)
        if stream is None or stream.handler is None:
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        fault("front.fill")
        n = stream.handler.fill(<char*>buf, length, &end)
        if end != FILL_MORE:
            data_flags[0] = data_flags[0] | NGHTTP2_DATA_FLAG_EOF
            if end == FILL_TRAILERS:
                data_flags[0] = data_flags[0] | NGHTTP2_DATA_FLAG_NO_END_STREAM
        elif n == 0:
            return NGHTTP2_ERR_DEFERRED
        stream.handler.moved = now()
        # The client answers data with window updates: of stream and connection, some clients for each 4 KB they read.
        connection.guard.earn(2 + n / 1024.0)
        connection.guard.answered()
        return n
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


cdef nghttp2_session_callbacks* callbacks = NULL
cdef nghttp2_option* options = NULL


cdef int prepare() except -1:
    global callbacks, options
    if nghttp2_session_callbacks_new(&callbacks) != 0 or nghttp2_option_new(&options) != 0:
        raise MemoryError()
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame)
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv)
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close)
    nghttp2_option_set_no_auto_window_update(options, 1)
    nghttp2_option_set_no_closed_streams(options, 1)
    nghttp2_option_set_max_outbound_ack(options, 200)
    nghttp2_option_set_max_settings(options, 32)
    # max_header_bytes bounds them. A head above nghttp2's own bound (64 KiB) would never be sent, nor its stream end.
    nghttp2_option_set_max_send_header_block_length(options, 1 << 30)
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(options, 1)
    # The guard counts resets, and knows which of them are a flood.
    bw_limit_resets(options, 1 << 40, 1 << 40)
    return 0


prepare()
