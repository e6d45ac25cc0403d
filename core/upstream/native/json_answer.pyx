"""The JSON batch response of an upstream, taken apart (JR-01..JR-13).

The text is validated whole by the scanner, then cut at the members that it noted: so a JSON body keeps every digit
of its numbers. Must never trust a header of it more than one that came over a socket.
"""
from batchwire.core.dialects.header_names cimport put_name
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, Mark, SCAN_DONE, Scan, scan, scan_start
from batchwire.core.dialects.json_strings cimport unescaped
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
    MAX_MEMBERS = 64                                      # of the envelope, and of one response object
    MAX_FIELDS = 512                                      # of `headers`: beyond them it is not looked at
    KEPT = MAX_RESULT_HEADERS - 1                         # of these, where they are too many; one is left for a note
    MAX_HEAD = 32768                                      # bytes of them


cdef dict members_of(bytes text, Mark* marks, int count):
    """name -> index of its mark; None when a name comes twice."""
    cdef dict named = {}
    cdef bytes name
    cdef int i
    for i in range(count):
        name = text[marks[i].key:marks[i].key_end]
        if marks[i].key_escaped:
            name = unescaped(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if name in named:
            return None
        named[name] = i
    return named


cdef list responses_in(bytes text, Py_ssize_t count, int max_depth, bint whole):
    cdef Scan state
    cdef Mark marks[MAX_MEMBERS]
    cdef list found = [None] * count
    cdef set seen = set()
    cdef dict named
    cdef Py_ssize_t at, end, used, index
    cdef bint valid
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(text)
    scan_start(&state, max_depth, marks, MAX_MEMBERS)
    used = scan(&state, p, n)
    if not text.lstrip(b" \t\r\n").startswith(b"{"):
        return None
    valid = state.state == SCAN_DONE and not text[used:].strip(b" \t\r\n")
    if valid:
        named = members_of(text, marks, state.mark_count)
        if named is None or b"responses" not in named or marks[<int>named[b"responses"]].kind != c'[':
            return None
        at = marks[<int>named[b"responses"]].value + 1
        end = marks[<int>named[b"responses"]].value_end - 1
    else:
        # BU-08: something in it is wrong, maybe in one response alone, and then the others stand. What is cut does not.
        at = -1 if whole else responses_at(text)
        if at < 0:
            return None
        end = piece_end(p, at, n) - 1
        at += 1
        rest = text[end + 1:].strip(b" \t\r\n")
        if end < at or p[end] != c']' or rest != b"}" and not (rest.startswith(b",") and rest.endswith(b"}")):
            return None
    while True:
        while at < end and p[at] in (c' ', c'\t', c'\r', c'\n', c','):
            at += 1
        if at >= end:
            return found
        if p[at] != c'{':
            return None
        scan_start(&state, max_depth - 2, marks, MAX_MEMBERS)   # two levels are the envelope's
        used = scan(&state, p + at, end - at)
        if state.state != SCAN_DONE:
            if whole:
                return None
            at = piece_end(p, at, end)                    # no response object; whose it is is not known
            if at < 0:
                return None
            continue
        part = text[at:at + used]
        at += used
        named = members_of(part, marks, state.mark_count)
        if named is None or b"id" not in named:
            if whole:
                return None
            continue                                      # whose it is is not known, and the others stand (BU-08)
        index = member_index(value_of(part, marks, named, b"id").strip(b'"'), count)
        if index >= 0:
            # Answered twice: which of them is true cannot be told.
            found[index] = None if index in seen else response_of(part, marks, named)
            seen.add(index)


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


cdef Py_ssize_t responses_at(bytes text):
    """Where the array `responses` of an object begins that is no valid JSON; -1: it cannot be found."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(text), at = text.index(b"{") + 1, start
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


cdef bytes link_in(bytes text, int max_depth):
    cdef Scan state
    cdef Mark marks[MAX_MEMBERS]
    cdef dict named
    cdef bytes name, value
    scan_start(&state, max_depth, marks, MAX_MEMBERS)
    scan(&state, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    named = members_of(text, marks, state.mark_count) if state.state == SCAN_DONE else None
    for name in (b"@nextLink", b"@odata.nextLink"):
        if named is not None and name in named:
            value = value_of(text, marks, named, name)
            if value.startswith(b'"'):
                return unescaped(<const uint8_t*>PyBytes_AS_STRING(value) + 1, PyBytes_GET_SIZE(value) - 2)
    return None


cdef bytes value_of(bytes text, Mark* marks, dict named, bytes name):
    cdef Mark* mark = &marks[<int>named[name]]
    return text[mark.value:mark.value_end]


cdef Result response_of(bytes text, Mark* marks, dict named):
    """One response object as a Result, or None when it is not one."""
    cdef Result result
    cdef list headers
    cdef bytes body = None
    cdef int status = status_of(value_of(text, marks, named, b"status")) if b"status" in named else 0
    if status == 0:
        return None
    headers = headers_of(value_of(text, marks, named, b"headers") if b"headers" in named else b"null")
    if headers is None:
        return None
    if b"body" in named:
        body = value_of(text, marks, named, b"body")
        if body == b"null":                               # JR-13
            body = None
        else:
            body = body_of(body, headers)
            if body is None:
                return None
    result = Result()
    kept = within(headers)
    result.fill(status, kept, body)
    if len(kept) < len(headers):
        result.add_note(b"headers left out: its header block is too large")
    drop_named(result)
    return result


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
    named = members_of(text, marks, state.mark_count) if state.state == SCAN_DONE and text.startswith(b"{") else None
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


cdef bytes body_of(bytes raw, list headers):
    """JR-08: the bytes that the value stands for, or None; changes content-type where it must."""
    cdef Py_ssize_t i, typed = -1
    cdef MediaKind kind = MEDIA_NONE
    cdef bytes media, text
    for i in range(len(headers)):
        if headers[i][0].lower() == b"content-type":
            typed = i
            media = headers[i][1]
            kind = media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media))
    if kind == MEDIA_NONE:                                # JR-09
        headers[:] = [field for field in headers if field[0].lower() != b"content-type"]
        headers.append((b"content-type", b"application/json"))
    elif kind != MEDIA_JSON:
        if not raw.startswith(b'"'):
            return None
        text = unescaped(<const uint8_t*>PyBytes_AS_STRING(raw) + 1, PyBytes_GET_SIZE(raw) - 2)
        if kind != MEDIA_TEXT:
            return base64_decoded(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        if codec_of(charset_of(media)) != "utf-8":        # else it is true as it is spelt
            headers[typed] = (headers[typed][0], with_utf8(media))
        raw = text
    # Inside JSON it is not coded any more, whatever the headers kept from before.
    headers[:] = [field for field in headers if field[0].lower() != b"content-encoding"]
    return raw
