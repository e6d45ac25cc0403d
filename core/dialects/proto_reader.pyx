"""Messages of batchwire.v1 (BatchRequest, ExecuteRequest) -> Calls. Bodies are slices of the message.

A body that comes in parts is put together first (AN-08). feed() takes whole messages. A message is checked before its first Call is returned as far as its bytes go,
and `holding` stays true until its last Call is returned, so that the plan can refuse the message as a whole.
Must never copy a body that comes in one piece.
"""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dialects.identifiers cimport MAX_DEPENDENCIES, MAX_ID, is_request_id
from batchwire.core.dialects.proto_options cimport options_of, ProtoOptions
from batchwire.core.dialects.wire cimport Field, WIRE_BYTES, WIRE_VARINT, next_field, read_duration
from batchwire.core.errors import EnvelopeError
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.methods cimport is_bodyless, method_of
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from batchwire.core.methods import METHODS

from collections import deque

cdef enum:
    MOST_FIELDS = 4096        # of a call besides depends_on: few bytes may say millions (PL-01)


cdef class ProtoReader(Reader):
    """max_call_bytes: of one encoded Call. max_calls: in one message, since it is checked whole. options: those of the
    first message, where they have been read before."""

    def __init__(self, HeaderBlock headers not None, Py_ssize_t max_call_bytes=16 << 20, Py_ssize_t max_calls=16384,
                 ProtoOptions options=None):
        self.options = options
        self.takes_messages = True
        self.headers = headers
        self.max_call_bytes = max_call_bytes
        self.max_calls = max_calls

    cdef int feed(self, bytes data) except -1:
        if self.upcoming is None:
            self.upcoming = data
        else:
            if self.later is None:
                self.later = deque()
            self.later.append(data)
        self.waiting_bytes += PyBytes_GET_SIZE(data)
        return 0

    cdef int finish(self) except -1:
        self.finished = True
        return 0

    cdef Py_ssize_t buffered(self) noexcept:
        return self.waiting_bytes + (self.end - self.at if self.left else 0) + (
            0 if self.gathered is None else self.gathered.size)

    cdef Call next_call(self):
        cdef Field field
        cdef Call call
        while True:
            while self.left:
                self.at = next_field(self.at, self.end, &field)
                if field.number == 2 and field.type == WIRE_BYTES:
                    self.left -= 1
                    self.holding = self.left > 0
                    if self.unfinished is None:
                        call = self.read_call(field.data, field.size)
                        if self.continues:
                            self.begin_parts(call)
                            continue
                    else:
                        call = self.add_part(field.data, field.size)
                        if call is None:
                            continue
                    self.calls += 1
                    return call
            self.message = None
            if self.upcoming is None:
                if self.finished and self.unfinished is not None:
                    raise self.bad_part("the batch ends within a body that comes in parts")
                self.ended = self.finished
                return None
            self.begin_message(self.next_message())

    cdef bytes next_message(self):
        cdef bytes message = self.upcoming
        self.upcoming = self.later.popleft() if self.later else None
        return message

    cdef BatchOptions take_options(self):
        cdef ProtoOptions options = self.options
        self.options = None
        if options is None or not options.said:
            return None
        options.screen(self.headers)
        return options

    cdef int begin_message(self, bytes message) except -1:
        """Checks the framing of the whole message and of each call in it, and finds the options."""
        cdef const char* p = PyBytes_AS_STRING(message)
        cdef const char* end = p + PyBytes_GET_SIZE(message)
        cdef const char* q
        cdef const char* stop
        cdef Field field, part
        cdef Py_ssize_t count = 0, fields
        cdef bint named
        self.waiting_bytes -= end - p
        self.message = message
        self.at = p
        self.end = end
        while p < end:
            p = next_field(p, end, &field)
            if p == NULL:
                raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message")
            if field.type != WIRE_BYTES:
                continue
            if field.number == 1 and self.any:
                raise EnvelopeError(400, "LateOptions", "only the first message may carry options", "options")
            if field.number == 2:
                if field.size > self.max_call_bytes:
                    raise self.too_large(self.calls + count)
                named = False
                fields = 0
                q = field.data
                stop = q + field.size
                while q < stop:
                    q = next_field(q, stop, &part)
                    if q == NULL:
                        raise EnvelopeError(400, "BadMessage", "a call is not a valid protobuf message",
                                            f"requests[{self.calls + count}]")
                    fields += part.number != 6
                    if part.number == 1 and part.type == WIRE_BYTES:
                        named = is_request_id(part.data, part.size)
                if fields > MOST_FIELDS:
                    raise EnvelopeError(413, "MessageTooLarge", f"a call must not have more than {MOST_FIELDS} fields besides depends_on",
                                        f"requests[{self.calls + count}]")
                if not named:
                    raise EnvelopeError(400, "BadId", "a call has no id, or one with characters that are not allowed",
                                        f"requests[{self.calls + count}].id")
                count += 1
        if count > self.max_calls:
            raise EnvelopeError(413, "MessageTooLarge", "a message must not hold more than "
                                f"{self.max_calls} calls (limits.max_calls_per_message)")
        if not self.any:
            self.any = True
            if self.options is None:
                self.options = options_of(message)
        self.left = count
        self.holding = count > 0
        return 0

    cdef Call read_call(self, const char* p, Py_ssize_t n):
        cdef Call call = Call.__new__(Call)
        cdef const char* end = p + n
        cdef Field field
        cdef bytes method = None
        cdef double timeout
        self.continues = False
        self.headers.start(call)
        while p < end:
            p = next_field(p, end, &field)
            if field.type != WIRE_BYTES:
                if field.number == 10 and field.type == WIRE_VARINT:
                    self.continues = field.value != 0
                continue
            if field.number == 1:
                call.id = PyBytes_FromStringAndSize(field.data, field.size)
            elif field.number == 2:
                method = method_of(field.data, field.size)
                if method is None:
                    call.refuse(400, "BadMethod", f"the method must be {METHODS}")
            elif field.number == 3:
                call.url = PyBytes_FromStringAndSize(field.data, field.size)
            elif field.number == 4:
                self.read_header(field.data, field.size)
            elif field.number == 5:
                call.set_body(self.message, field.data, field.size)
            elif field.number == 6:
                if call.depends_on is None:
                    call.depends_on = []
                if len(call.depends_on) == MAX_DEPENDENCIES or field.size > MAX_ID:
                    if call.refusal is None:
                        call.refuse(400, "BadDependsOn",
                                    f"depends_on may have {MAX_DEPENDENCIES} ids of {MAX_ID} bytes")
                else:
                    call.depends_on.append(PyBytes_FromStringAndSize(field.data, field.size))
            elif field.number == 7:
                if field.size:
                    call.group = PyBytes_FromStringAndSize(field.data, field.size)
                    if not is_request_id(field.data, field.size):
                        call.group = None
                        call.refuse(400, "BadGroup", "the atomicity group has characters that are not allowed")
            elif field.number == 8:
                call.condition = PyBytes_FromStringAndSize(field.data, field.size)
            elif field.number == 9:
                timeout = read_duration(field.data, field.size)
                if timeout <= 0:
                    call.refuse(400, "BadTimeout", "the timeout must be greater than 0")
                call.timeout = timeout
        if method is None:
            call.refuse(400, "BadMethod", "the call has no method")
        else:
            call.method = method
        if call.body_owner is not None:
            if method is not None and is_bodyless(method):
                call.refuse(400, "BodyNotAllowed", f"a {method.decode()} must not have a body")
            elif self.headers.content_type is None:
                # JB-21: as in the JSON form, so that both mean the same.
                self.headers.add("Content-Type", 12, "application/json", 16)
        self.headers.finish()
        return call

    cdef int begin_parts(self, Call call) except -1:
        """AN-08: keeps a call until the last part of its body has come."""
        if call.body_owner is None:
            raise self.bad_part("a body that comes in parts has no first part")
        self.unfinished = call
        self.gathered = Buffer()
        return self.gathered.put(call.body_ptr, call.body_len)

    cdef Call add_part(self, const char* p, Py_ssize_t n):
        """The call when this was the last part of its body, else None."""
        cdef const char* end = p + n
        cdef Call call = self.unfinished
        cdef bytes body
        cdef Field field
        self.continues = False
        while p < end:
            p = next_field(p, end, &field)
            if field.number == 10 and field.type == WIRE_VARINT:
                self.continues = field.value != 0
            elif field.number == 5 and field.type == WIRE_BYTES:
                if self.gathered.size + field.size > self.max_call_bytes:
                    raise self.too_large(self.calls)
                self.gathered.put(field.data, field.size)
            elif field.number != 1 or field.type != WIRE_BYTES or field.data[:field.size] != call.id:
                raise self.bad_part("a part of a body has the id of its call and nothing else")
        if self.continues:
            return None
        body = self.gathered.take()
        self.unfinished = self.gathered = None
        call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        return call

    def too_large(self, number):
        """The error of a call, by its number in the batch, that has more bytes than one may."""
        return EnvelopeError(
            413, "CallTooLarge", f"a call is larger than limits.max_call_bytes ({self.max_call_bytes} bytes)",
            f"requests[{number}]")

    def bad_part(self, message):
        return EnvelopeError(400, "BadPart", message, f"requests[{self.calls}].body")

    cdef int read_header(self, const char* p, Py_ssize_t n) except -1:
        cdef const char* end = p + n
        cdef const char* name = p
        cdef const char* value = p
        cdef Py_ssize_t name_len = 0, value_len = 0
        cdef Field field
        while p < end:
            p = next_field(p, end, &field)
            if p == NULL:
                return self.headers.add(NULL, 0, NULL, 0)
            if field.type == WIRE_BYTES:
                if field.number == 1:
                    name = field.data
                    name_len = field.size
                elif field.number == 2:
                    value = field.data
                    value_len = field.size
        return self.headers.add(name, name_len, value, value_len)
