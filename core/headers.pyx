"""Builds the header lines of an inner request from its fields.

Lines are assembled here and nowhere else, so that no value of a client can start a line of its own
(background: CVE-2023-37276 and kin). Must never let through a hop-by-hop or identity header.
"""
from batchwire.core.errors import ConfigError, quoted
from batchwire.core.header_rules cimport CONNECTION, CONTENT_TYPE, DROP, HeaderRules, REFUSE, TRANSFER_ENCODING
from batchwire.core.methods cimport is_bodyless
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memmove

from batchwire.core.header_rules import header_rules

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    KEPT = 4096               # bytes of the buffer between two calls
    SHORT = 1024              # bytes of lines up to which a name is looked for in them

# RFC 9110 5.6.2: tchar.
cdef uint8_t[256] TCHAR
for _c in bytearray(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    TCHAR[_c] = 1


cdef bint block_has(bytes head, const char* name, Py_ssize_t n) noexcept:
    """Whether a block of header lines has a field of this name (any case)."""
    cdef const char* p = head
    cdef const char* end = p + len(head)
    while p < end:
        if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
            return True
        p = <const char*>memchr(p, 10, end - p)
        if p == NULL:
            return False
        p += 1
    return False


cdef bytes block_get(bytes head, const char* name, Py_ssize_t n):
    """The value of the first field of this name, or None."""
    cdef const char* p = head
    cdef const char* end = p + len(head)
    cdef const char* stop
    while p < end:
        stop = <const char*>memchr(p, 13, end - p)
        if stop == NULL:
            return None
        if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
            return PyBytes_FromStringAndSize(p + n + 2, stop - p - n - 2)
        p = stop + 2
    return None


cdef bint valid_value(const char* p, Py_ssize_t n) noexcept nogil:
    """RFC 9110 5.5 without the control characters; bytes above 0x7f pass as obs-text."""
    cdef Py_ssize_t i
    for i in range(n):
        if (<uint8_t>p[i] < 32 and p[i] != 9) or p[i] == 127:
            return False
    return True


# What the operator can change (CL-09).
cdef str NONE_TAKEN = " (allow_inner_authorization of the route)"
cdef str SAME_TAKEN = ", unless it is that of the batch (allow_inner_authorization of the route)"


cdef class HeaderBlock:
    """See headers.pxd for the way of use.

    refuse_duplicates: a field that is given twice must say the same twice (GW-12); otherwise it is a list.
    max_bytes: bound on the lines of one call; a call above it is refused with 431's inner form, 400.
    rules: what may pass; None: no configuration says anything about it. inner_authorization: of a call's own
    Authorization (GW-17): "reject", "drop", or "same": dropped when it is `authorization`, that of the batch.
    """

    def __init__(self, bint refuse_duplicates=True, Py_ssize_t max_bytes=32768, HeaderRules rules=None,
                 str inner_authorization="reject", bytes authorization=None):
        if inner_authorization not in ("reject", "same", "drop"):
            raise ConfigError("inner_authorization is reject, same or drop")
        self.out = Buffer()
        self.refuse_duplicates = refuse_duplicates
        self.max_bytes = max_bytes
        self.rules = header_rules() if rules is None else rules
        self.hint = SAME_TAKEN if inner_authorization == "same" else NONE_TAKEN
        self.drop_authorization = inner_authorization == "drop"
        self.authorization = authorization.strip(b" \t") if inner_authorization == "same" and authorization else None

    cdef int start(self, Call call) except -1:
        self.call = call
        self.out.size = 0
        self.names = None
        self.places = None
        self.indexed = 0
        self.content_type = None
        self.transfer_encoding = None
        return 0

    cdef int add(self, const char* name, Py_ssize_t name_len, const char* value, Py_ssize_t value_len) except -1:
        cdef int verdict
        cdef Py_ssize_t i
        cdef const char* said = NULL
        cdef Py_ssize_t said_len = 0
        if self.call.refusal is not None:
            return 0
        if name_len == 0:
            return self.call.refuse(400, "BadHeader", "a header has an empty name")
        for i in range(name_len):
            if not TCHAR[<uint8_t>name[i]]:
                return self.call.refuse(400, "BadHeader", "a header name has a character that is not allowed")
        while value_len and (value[0] == 32 or value[0] == 9):
            value += 1
            value_len -= 1
        while value_len and (value[value_len - 1] == 32 or value[value_len - 1] == 9):
            value_len -= 1
        if not valid_value(value, value_len):
            return self.call.refuse(400, "BadHeader", "a header value has a control character")
        if self.out.size + name_len + value_len > self.max_bytes:
            return self.call.refuse(
                400, "HeadersTooLarge",
                f"the headers of the call are larger than limits.max_header_bytes ({self.max_bytes} bytes)")
        verdict = self.rules.verdict(name, name_len)
        if verdict == DROP:
            return 0
        if verdict == REFUSE:
            if self.may_drop(name_len, value, value_len):
                return 0
            return self.call.refuse(
                400, "HeaderNotAllowed",
                f"the header {quoted(name[:name_len])} must not be in an inner request"
                + (self.hint if name_len == 13 else ""))
        if verdict == CONNECTION:
            return self.name_hop_headers(value[:value_len])
        if verdict == TRANSFER_ENCODING:
            self.transfer_encoding = PyBytes_FromStringAndSize(value, value_len)
            return 0
        # CL-02: some clients write a field in two spellings. A call has one Content-Type in every dialect.
        if (self.refuse_duplicates or verdict == CONTENT_TYPE) and self.find(name, name_len, &said, &said_len):
            if said_len == value_len and memcmp(said, value, value_len) == 0:
                return 0
            return self.call.refuse(400, "DuplicateHeader", f"the header {quoted(name[:name_len])} is given twice")
        if verdict == CONTENT_TYPE:
            self.content_type = PyBytes_FromStringAndSize(value, value_len)
        self.out.grow(name_len + value_len + 4)
        self.out.put(name, name_len)
        self.out.put(": ", 2)
        self.out.put(value, value_len)
        self.out.put("\r\n", 2)
        return 0

    cdef bint may_drop(self, Py_ssize_t name_len, const char* value, Py_ssize_t value_len) noexcept:
        """Whether a field that must not be here is one of credentials (13 and 19 characters) that may be left out."""
        if self.drop_authorization:
            return name_len == 13 or name_len == 19
        return self.authorization is not None and name_len == 13 and value_len == PyBytes_GET_SIZE(
            self.authorization) and memcmp(PyBytes_AS_STRING(self.authorization), value, value_len) == 0

    cdef bint find(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) except -1:
        """Whether a field of this name is there, and what the first one says."""
        if self.out.size > SHORT:
            return self.find_among_many(name, n, value, value_len)
        return self.find_among_few(name, n, value, value_len)

    cdef bint find_among_many(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) except -1:
        """Each line is read once (PL-01)."""
        cdef const char* p
        cdef const char* colon
        cdef const char* stop
        cdef Py_ssize_t start
        if self.places is None:
            self.places = {}
        while self.indexed < self.out.size:
            p = self.out.data + self.indexed
            colon = <const char*>memchr(p, c':', self.out.size - self.indexed)
            stop = <const char*>memchr(colon, c'\n', self.out.data + self.out.size - colon)
            self.places.setdefault(p[:colon - p].lower(), (colon + 2 - self.out.data, stop - 1 - (colon + 2)))
            self.indexed = stop + 1 - self.out.data
        found = self.places.get(name[:n].lower())
        if found is None:
            return False
        start, value_len[0] = found
        value[0] = self.out.data + start
        return True

    cdef bint find_among_few(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) noexcept:
        cdef const char* p = self.out.data
        cdef const char* end = p + self.out.size
        cdef const char* stop
        while p != NULL and p < end:
            stop = <const char*>memchr(p, 10, end - p)
            if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
                value[0] = p + n + 2
                value_len[0] = stop - 1 - value[0]
                return True
            p = stop + 1
        return False

    cdef int name_hop_headers(self, bytes value) except -1:
        """Remembers what Connection names: those fields are hop-by-hop too (RFC 9110 7.6.1)."""
        if self.names is None:
            self.names = set()
        for token in value.split(b","):
            token = token.strip().lower()
            if token:
                self.names.add(token)
        return 0

    cdef int drop_content_type(self) except -1:
        """There will be no body that it could be about (JB-26), and servers exist that miss one then."""
        cdef const char* value = NULL
        cdef Py_ssize_t n = 0, begin, end
        if self.find("content-type", 12, &value, &n):
            begin = value - self.out.data - 14                # name, colon and space
            end = value - self.out.data + n + 2
            memmove(self.out.data + begin, self.out.data + end, self.out.size - end)
            self.out.size -= end - begin
        return 0

    cdef int finish(self) except -1:
        cdef bytes head
        if self.call.refusal is None:
            if self.content_type is not None and is_bodyless(self.call.method):
                self.drop_content_type()
            head = self.out.take() if self.out.size else b""
            if self.names is not None:
                head = b"".join([
                    line + b"\r\n" for line in head.split(b"\r\n")
                    if line and line.partition(b":")[0].lower() not in self.names
                ])
            self.call.head = head
        self.call = None
        # The next call may be long in coming.
        self.places = None
        if self.out.capacity > KEPT:
            self.out.clear()
        return 0
