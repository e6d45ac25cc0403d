"""BatchOptions of batchwire.v1, from the first message of a batch: what names its route, and what it says of itself."""
from batchwire.core.dialects.wire cimport Field, WIRE_BYTES, WIRE_VARINT, next_field, read_duration
from batchwire.core.errors import EnvelopeError
from batchwire.core.model cimport Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

cdef enum:
    MOST_FIELDS = 4096        # of the options of a message: few bytes may say millions (PL-01)


def read_options(bytes message not None):
    """The ProtoOptions of a BatchRequest or ExecuteRequest. Raises EnvelopeError when it is malformed."""
    return options_of(message)


cdef ProtoOptions options_of(bytes message):
    cdef const char* p = PyBytes_AS_STRING(message)
    cdef const char* end = p + PyBytes_GET_SIZE(message)
    cdef Field field
    cdef ProtoOptions options = ProtoOptions.__new__(ProtoOptions)
    options.name = b""
    options.continue_on_error = True
    options.left = MOST_FIELDS
    while p < end:
        p = next_field(p, end, &field)
        if p == NULL:
            raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message")
        if field.number == 1 and field.type == WIRE_BYTES:
            options.said = True
            options.count()
            options.merge(field.data, field.size)
    return options


cdef class ProtoOptions(BatchOptions):
    @property
    def route(self):
        """The route's name, str."""
        return self.name.decode("utf-8", "replace")

    cdef int merge(self, const char* p, Py_ssize_t n) except -1:
        cdef const char* end = p + n
        cdef Field field
        while p < end:
            p = next_field(p, end, &field)
            self.count()
            if p == NULL:
                raise EnvelopeError(400, "BadMessage", "the options are not a valid protobuf message", "options")
            if field.number == 1 and field.type == WIRE_BYTES:
                self.name = PyBytes_FromStringAndSize(field.data, field.size)
            elif field.number == 2 and field.type == WIRE_BYTES:
                self.deadline = read_duration(field.data, field.size)
                if self.deadline <= 0:
                    raise EnvelopeError(400, "BadDeadline", "the deadline must be greater than 0", "options.deadline")
            elif field.number == 3 and field.type == WIRE_VARINT:
                self.continue_on_error = field.value != 0
            elif field.number == 4 and field.type == WIRE_VARINT:
                self.ordered = field.value == 2
            elif field.number == 5 and field.type == WIRE_BYTES:
                self.add_header(field.data, field.size)
            elif field.number == 6 and field.type == WIRE_VARINT:
                self.max_message = min(field.value, <uint64_t>1 << 40)
            elif field.number == 7 and field.type == WIRE_VARINT:
                self.takes_parts = field.value != 0
        return 0

    cdef int add_header(self, const char* p, Py_ssize_t n) except -1:
        cdef const char* end = p + n
        cdef bytes name = b"", value = b""
        cdef Field part
        while p < end:
            p = next_field(p, end, &part)
            self.count()
            if p == NULL:
                raise EnvelopeError(400, "BadMessage", "the options are not a valid protobuf message", "options.headers")
            if part.type == WIRE_BYTES and part.number == 1:
                name = PyBytes_FromStringAndSize(part.data, part.size)
            elif part.type == WIRE_BYTES and part.number == 2:
                value = PyBytes_FromStringAndSize(part.data, part.size)
        if self.pairs is None:
            self.pairs = []
        self.pairs.append((name, value))
        return 0

    cdef int count(self) except -1:
        """One field more. Raises EnvelopeError where there are too many."""
        if self.left <= 0:
            raise EnvelopeError(413, "MessageTooLarge", f"the options must not have more than {MOST_FIELDS} fields",
                                "options")
        self.left -= 1
        return 0

    cdef int screen(self, HeaderBlock headers) except -1:
        """Makes lines of the headers that calls inherit, by the rules of `headers`. Raises EnvelopeError."""
        cdef Call screen
        cdef bytes name, value
        if self.pairs is None:
            return 0
        screen = Call()
        headers.start(screen)
        for name, value in self.pairs:
            headers.add(name, len(name), value, len(value))
        headers.finish()
        if screen.refusal is not None:
            raise EnvelopeError(400, screen.refusal.code, screen.refusal.message, "options.headers")
        self.headers = screen.head
        return 0
