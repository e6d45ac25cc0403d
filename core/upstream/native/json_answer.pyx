"""The JSON batch response of an upstream, taken apart (JR-01..JR-13).

The text is validated whole by the scanner, then cut at the members that it noted: so a JSON body keeps every digit
of its numbers. Must never trust a header of it more than one that came over a socket.
"""
from batchwire.core.dialects.charsets cimport Unescaping
from batchwire.core.dialects.header_names cimport put_name
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, Mark, SCAN_BAD, SCAN_DONE, Scan, scan, scan_start
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.steps cimport Pieces
from batchwire.core.dialects.media cimport (
    MEDIA_JSON,
    MEDIA_NONE,
    MEDIA_TEXT,
    MediaKind,
    base64_decoded,
    charset_of,
    codec_of,
    media_kind,
    with_utf8,
)
from batchwire.core.headers cimport valid_value
from batchwire.core.model cimport Buffer, KIND_OTHER, MAX_RESULT_HEADERS, Result, header_kind
from batchwire.core.upstream.http1_answer cimport drop_named
from batchwire.core.upstream.native.outcomes cimport member_index
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

cdef enum:
    LARGE = 65536                                         # bytes of a body that is no trifle to read
    STEP = 262144                                         # bytes of one step, a millisecond or two
    EACH = 256                                            # and what a response costs, in bytes
    MAX_FIELDS = 512                                      # of `headers`: beyond them it is not looked at
    KEPT = MAX_RESULT_HEADERS - 1                         # of these, where they are too many; one is left for a note
    MAX_HEAD = 32768                                      # bytes of them


cdef dict members_of(bytes text, Py_ssize_t base, Mark* marks, int count):
    """name -> index of its mark; None when a name comes twice. The object that was marked begins at `base`."""
    cdef dict named = {}
    cdef bytes name
    cdef int i
    for i in range(count):
        name = text[base + marks[i].key:base + marks[i].key_end]
        if marks[i].key_escaped:
            name = unescaped(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if name in named:
            return None
        named[name] = i
    return named


cdef class JsonReading(Steps):
    @staticmethod
    cdef JsonReading of(bytes text, Py_ssize_t count, int max_depth):
        cdef JsonReading made = JsonReading.__new__(JsonReading)
        made.text = text
        made.count = count
        made.max_depth = max_depth
        made.seen = set()
        made.start = 3 if text.startswith(b"\xef\xbb\xbf") else 0
        scan_start(&made.state, max_depth, made.marks, MAX_MEMBERS)
        return made

    cdef list responses(self, bint whole):
        """For each call its Result or None; None in all: it is no batch response. whole: or is not valid as a whole."""
        return None if whole and self.flawed else self.found

    cdef Py_ssize_t held(self) noexcept:
        """Beside the text."""
        return self.copied + (0 if self.letters is None else PyBytes_GET_SIZE(self.letters)) \
            + (0 if self.pieces is None else self.pieces.held()) \
            + (0 if self.unescaping is None else self.unescaping.pieces.held())

    cdef bint step(self) except -1:
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(self.text)
        cdef Py_ssize_t budget = STEP
        if self.found is None:
            return self.look(p)
        if self.headers is not None:
            self.read_body()
            return False
        while budget > 0:
            if not self.inside and not self.next_response(p):
                return True
            budget -= EACH
            if not self.read_response(p, &budget):
                return False
        return False

    cdef bint look(self, const uint8_t* p) except -1:
        """Through the whole of it; then what is to be read is known. True: nothing."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.text), begin = self.start + self.state.offset
        cdef dict named
        scan(&self.state, p + begin, min(n - begin, <Py_ssize_t>STEP))
        begin = self.start + self.state.offset
        if self.state.state != SCAN_DONE and self.state.state != SCAN_BAD and begin < n:
            return False
        named = members_of(self.text, self.start, self.marks, self.state.mark_count) \
            if self.state.state == SCAN_DONE else None
        if named is not None:
            self.link = self.link_in(named)
        if first_of(p, self.start, n) != c'{':
            return True
        if self.state.state == SCAN_DONE and first_of(p, begin, n) < 0:
            if named is None or b"responses" not in named or self.marks[<int>named[b"responses"]].kind != c'[':
                return True
            self.at = self.start + self.marks[<int>named[b"responses"]].value + 1
            self.end = self.start + self.marks[<int>named[b"responses"]].value_end - 1
        else:
            # BU-08: something in it is wrong, maybe in one response alone, and then the others stand. What is cut does
            # not.
            self.flawed = True
            self.at = responses_at(self.text, self.start)
            if self.at < 0:
                return True
            self.end = piece_end(p, self.at, n) - 1
            self.at += 1
            rest = self.text[self.end + 1:].strip(b" \t\r\n")
            if self.end < self.at or p[self.end] != c']' \
                    or rest != b"}" and not (rest.startswith(b",") and rest.endswith(b"}")):
                return True
        self.found = [None] * self.count
        return False

    cdef bytes link_in(self, dict named):
        """Its @nextLink, or None."""
        cdef bytes name, value
        for name in (b"@nextLink", b"@odata.nextLink"):
            if name in named:
                value = value_of(self.text, self.start, self.marks, named, name)
                if value.startswith(b'"'):
                    return unescaped(<const uint8_t*>PyBytes_AS_STRING(value) + 1, PyBytes_GET_SIZE(value) - 2)
        return None

    cdef bint next_response(self, const uint8_t* p) except -1:
        """Whether there is one more."""
        while self.at < self.end and p[self.at] in (c' ', c'\t', c'\r', c'\n', c','):
            self.at += 1
        if self.at >= self.end:
            return False
        if p[self.at] != c'{':
            self.found = None
            return False
        self.inside = True
        scan_start(&self.state, self.max_depth - 2, self.marks, MAX_MEMBERS)   # two levels are the envelope's
        return True

    cdef bint read_response(self, const uint8_t* p, Py_ssize_t* budget) except -1:
        """Goes on with one; whether more may be read in this step."""
        cdef Py_ssize_t begin = self.at + self.state.offset, index
        cdef dict named
        budget[0] -= scan(&self.state, p + begin, min(self.end - begin, <Py_ssize_t>STEP))
        if self.state.state != SCAN_DONE and self.state.state != SCAN_BAD and self.at + self.state.offset < self.end:
            return False
        self.inside = False
        begin = self.at
        if self.state.state != SCAN_DONE:
            self.flawed = True
            self.at = piece_end(p, self.at, self.end)     # no response object; whose it is is not known
            if self.at < 0:
                self.found = None
                self.at = self.end
                return True
            budget[0] -= self.at - begin
            return True
        self.at += self.state.offset
        named = members_of(self.text, begin, self.marks, self.state.mark_count)
        if named is None or b"id" not in named:
            self.flawed = True                            # whose it is is not known, and the others stand (BU-08)
            return True
        index = member_index(value_of(self.text, begin, self.marks, named, b"id").strip(b'"'), self.count)
        if index < 0:
            return True
        self.index = index
        if index in self.seen:
            self.found[index] = None                      # answered twice: which of them is true cannot be told
            return True
        self.seen.add(index)
        self.found[index] = self.response_of(begin, named)
        return self.headers is None

    cdef Result response_of(self, Py_ssize_t begin, dict named):
        """One response object as a Result, or None when it is not one, or its body is read in the steps that follow."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(self.text) + begin
        cdef Mark* mark
        cdef list headers
        cdef bytes body
        cdef MediaKind kind
        cdef int status = status_of(value_of(self.text, begin, self.marks, named, b"status")) if b"status" in named else 0
        if status == 0:
            return None
        headers = headers_of(value_of(self.text, begin, self.marks, named, b"headers") if b"headers" in named else b"null")
        if headers is None:
            return None
        if b"body" not in named or status == 204 or status == 304:
            return made(status, headers, None)            # JR-13; such answers have none, as outside of a batch
        mark = &self.marks[<int>named[b"body"]]
        if mark.kind == c'n':                             # JR-13
            return made(status, headers, None)
        kind = retyped(headers)
        if kind == MEDIA_JSON:
            body = self.text[begin + mark.value:begin + mark.value_end]
        elif mark.kind != c'"':
            return None
        elif mark.value_end - mark.value > LARGE:
            self.status = status
            self.headers = headers
            self.binary = kind != MEDIA_TEXT
            self.unescaping = Unescaping.of(self.text, p + mark.value + 1, mark.value_end - mark.value - 2, None)
            return None
        else:
            body = unescaped(p + mark.value + 1, mark.value_end - mark.value - 2)
            if kind != MEDIA_TEXT:
                body = base64_decoded(<const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
                if body is None:
                    return None
        self.copied += PyBytes_GET_SIZE(body)
        return made(status, headers, body)

    cdef int read_body(self) except -1:
        """A step with a long body."""
        if self.unescaping is not None:
            if not self.unescaping.step():
                return 0
            self.letters = self.unescaping.data
            self.unescaping = None
            if not self.binary:
                return self.put_body(self.letters)
            self.pieces = Pieces.__new__(Pieces)
            self.decoded = 0
            return 0
        if not self.decode_some():
            return self.put_body(None)
        if self.decoded == PyBytes_GET_SIZE(self.letters) and self.pieces.join():
            return self.put_body(self.pieces.whole)
        return 0

    cdef bint decode_some(self) except -1:
        """A step in undoing base64; false: it is none."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(self.letters) + self.decoded
        cdef Py_ssize_t left = PyBytes_GET_SIZE(self.letters) - self.decoded, n = min(left, <Py_ssize_t>STEP)
        cdef bytes piece
        if n == 0:
            return True
        if n < left and p[n - 1] == c'=':
            return False                                  # it ends a whole alone
        piece = base64_decoded(p, n)
        if piece is None:
            return False
        self.decoded += n
        self.pieces.add(piece)
        return True

    cdef int put_body(self, bytes body) except -1:
        """The body is read; None: it is none."""
        if body is not None:
            self.found[self.index] = made(self.status, self.headers, body)
            self.copied += PyBytes_GET_SIZE(body)
        self.headers = self.letters = self.pieces = None
        return 0


cdef Result made(int status, list headers, bytes body):
    cdef Result result = Result()
    cdef list kept = within(headers)
    result.fill(status, kept, body)
    if len(kept) < len(headers):
        result.add_note(b"headers left out: its header block is too large")
    drop_named(result)
    return result


cdef Py_ssize_t piece_end(const uint8_t* p, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """The end of the value at `at`, by its quotes and brackets alone; -1: it has none before n."""
    cdef int depth = 0
    while at < n:
        if p[at] == c'"':
            at += 1
            while at < n and p[at] != c'"':
                at += 2 if p[at] == c'\\' else 1
            if at >= n:
                return -1
        elif p[at] == c'{' or p[at] == c'[':
            depth += 1
        elif p[at] == c'}' or p[at] == c']':
            depth -= 1
        at += 1
        if depth <= 0 and p[at - 1] in (c'"', c'}', c']'):
            return at if depth == 0 else -1
        if depth == 0 and at < n and p[at] in (c',', c'}', c']'):
            return at
    return -1


cdef Py_ssize_t responses_at(bytes text, Py_ssize_t start):
    """Where the array `responses` of an object begins that is no valid JSON; -1: it cannot be found."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(text), at = text.index(b"{", start) + 1
    for _ in range(<int>MAX_MEMBERS):
        while at < n and p[at] in (c' ', c'\t', c'\r', c'\n', c','):
            at += 1
        if at >= n or p[at] != c'"':
            return -1
        start = at
        at = piece_end(p, at, n)
        if at < 0:
            return -1
        name = text[start:at]
        while at < n and p[at] in (c' ', c'\t', c'\r', c'\n', c':'):
            at += 1
        if name == b'"responses"':
            return at if at < n and p[at] == c'[' else -1
        at = piece_end(p, at, n)
        if at < 0:
            return -1
    return -1


cdef int first_of(const uint8_t* p, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """The first byte from `at` on that is no white space; -1: there is none."""
    while at < n and (p[at] == c' ' or p[at] == c'\t' or p[at] == c'\r' or p[at] == c'\n'):
        at += 1
    return p[at] if at < n else -1


cdef bytes value_of(bytes text, Py_ssize_t base, Mark* marks, dict named, bytes name):
    cdef Mark* mark = &marks[<int>named[name]]
    return text[base + mark.value:base + mark.value_end]


cdef list within(list headers):
    """AN-03: as many of the fields as an answer may have, those that mean something here first."""
    cdef Py_ssize_t size = 0
    cdef list kept = []
    cdef bytes name, value
    if len(headers) <= MAX_RESULT_HEADERS and sum([len(name) + len(value) + 4 for name, value in headers]) <= MAX_HEAD:
        return headers
    for wanted in (True, False):
        for field in headers:
            name, value = field
            if (header_kind(PyBytes_AS_STRING(name), <int>PyBytes_GET_SIZE(name)) != KIND_OTHER) is not wanted \
                    or len(kept) == KEPT or size + len(name) + len(value) + 4 > MAX_HEAD:
                continue
            size += len(name) + len(value) + 4
            kept.append(field)
    return kept


cdef int status_of(bytes text) except -1:
    """0: it is none. JR-06 says a number; some services send a string."""
    cdef int status
    if len(text) == 5 and text.startswith(b'"'):
        text = text[1:4]
    status = int(text) if len(text) == 3 and text.isdigit() else 0
    return status if 200 <= status <= 599 else 0


cdef list headers_of(bytes text):
    """[(name, value)], or None when they cannot be header fields."""
    cdef Scan state
    cdef Mark marks[MAX_FIELDS]
    cdef Mark* mark
    cdef Buffer scratch = Buffer()
    cdef list headers = []
    cdef set seen = set()
    cdef dict named
    cdef bytes name, value
    if text == b"null":
        return headers
    scan_start(&state, MAX_DEPTH, marks, MAX_FIELDS)
    scan(&state, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    named = members_of(text, 0, marks, state.mark_count) if state.state == SCAN_DONE and text.startswith(b"{") else None
    if named is None:
        return None
    for name, index in named.items():
        mark = &marks[<int>index]
        value = text[mark.value:mark.value_end]
        if mark.kind == c'"':
            value = value[1:len(value) - 1]
            if mark.value_escaped:
                value = unescaped(<const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
            value = value.strip(b" \t")
        elif not value.isdigit():                         # content-length and retry-after are numbers for some services
            return None
        if len(name) > 256 or not put_name(scratch, PyBytes_AS_STRING(name), <int>PyBytes_GET_SIZE(name), True):
            return None
        if not valid_value(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)) or name.lower() in seen:
            return None
        seen.add(name.lower())
        headers.append((name, value))
    return headers


cdef MediaKind retyped(list headers) except *:
    """JR-08, JR-09: what the body is, MEDIA_JSON, MEDIA_TEXT or another; changes content-type where it must."""
    cdef Py_ssize_t i, typed = -1
    cdef MediaKind kind = MEDIA_NONE
    cdef bytes media
    for i in range(len(headers)):
        if headers[i][0].lower() == b"content-type":
            typed = i
            media = headers[i][1]
            kind = media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media))
    if kind == MEDIA_NONE:
        headers[:] = [field for field in headers if field[0].lower() != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        kind = MEDIA_JSON
    elif kind == MEDIA_TEXT:
        if codec_of(charset_of(media)) != "utf-8":        # else it is true as it is spelt
            headers[typed] = (headers[typed][0], with_utf8(media))
    if kind == MEDIA_JSON or kind == MEDIA_TEXT:
        # As a value or text of JSON it is not coded any more, whatever the headers kept from before. Bytes may be (AN-01).
        headers[:] = [field for field in headers if field[0].lower() != b"content-encoding"]
    return kind
