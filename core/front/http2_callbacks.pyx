"""What nghttp2 calls: frames as they come, to the connection and its streams, and what a stream has to say.

An error must not pass through C code: it costs the stream, or the connection.
"""
from batchwire.core.faults cimport fault
from batchwire.core.front.http2 cimport CHUNK_BYTES, HEAD_BYTES, Http2Connection, use
from batchwire.core.front.http2_stream cimport accepted, Http2Stream
from batchwire.core.front.nghttp2 cimport *
from batchwire.core.front.stream cimport FILL_MORE, FILL_TRAILERS, FillEnd
from batchwire.core.model cimport now
from libc.stdint cimport int32_t, uint8_t, uint32_t


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
                connection.goaway_enhance_your_calm(b"too_many_pings")
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
            connection.goaway_enhance_your_calm(b"too many frames that bring nothing")
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
                if stream.header_bytes > 2 * connection.acceptor.max_header_bytes:
                    connection.heads_since = 0
                    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
            else:
                stream.add(<const char*>name, namelen, <const char*>value, valuelen)
                # What goes on for ever after the bound is no head that deserves an answer.
                if stream.header_bytes > 8 * connection.acceptor.max_header_bytes:
                    connection.goaway_enhance_your_calm(b"header section too large")
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
                    connection.goaway_enhance_your_calm(b"too many resets of nothing")
            elif frame.rst_stream.error_code == NGHTTP2_NO_ERROR and not connection.guard.cancel(
                    connection.received - stream.began, stream.answered, connection.received):
                connection.refuse_new_streams(b"too many streams are broken off")
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
                connection.goaway_enhance_your_calm(b"too many streams are refused")
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
            stream.handler.last_activity = connection.received
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
                connection.refuse_new_streams(b"too many streams are broken off")
            if code == NGHTTP2_NO_ERROR:
                connection.left.append(stream)
                connection.schedule_flush()
            else:
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
        stream.handler.last_activity = now()
        # The client answers data with window updates: of stream and connection, some clients for each 4 KB they read.
        connection.guard.earn(2 + n / 1024.0)
        connection.guard.answered()
        return n
    except BaseException as error:
        connection.failed(error)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


def prepare():
    """Before the first connection: what all of them give to nghttp2 (http2.pyx)."""
    cdef nghttp2_session_callbacks* callbacks = NULL
    cdef nghttp2_option* options = NULL
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
    use(callbacks, options, on_read)
