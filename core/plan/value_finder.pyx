"""Where a call refers to values of earlier calls: in the query of its URL and in its JSON body (ID-11..ID-13).

Finds what has the form of a reference; whether an earlier call bears the name is for the plan to say. A body
without `"$` and a query without `$` in a value cost one look. Must never judge the rest of a URL or a body: a
body that is not valid JSON simply has no references.

In a query, only values of options are looked at. `$it`, `$root` and `$this` are no references; other names that OData
defines (`$count`, ...) are where an earlier call bears them, and not behind a slash. None is an option inside
parentheses (`$expand=Orders($filter=...)`), nor anything in a quoted string, nor what follows a letter, a digit or one of
`-._~` (`US$5`).
In OData options, whose names begin with `$` or `@`, a reference must name an earlier call; in others `$5` may
be a price. `$` and `/` may be percent-encoded, as many clients do.

In a body, a reference is a whole string. Behind `@id`, `@odata.id` and `...@odata.bind` it stands for a URL and
must name an earlier call; elsewhere `$<id>/path` stands for a value where the call names that id in its dependsOn, and
all else is plain text (PL-04). A `$` that is written `\\u0024` begins no reference.
"""
from batchwire.core.dialects.identifiers cimport MAX_ID, is_request_id
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, SCAN_BAD, SCAN_DONE, scan, scan_end, scan_start
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.json_walk cimport skip_space, string_end
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.headers cimport block_get
from batchwire.core.model cimport Call
from batchwire.core.plan.urls cimport reference_of
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr, memcmp

import re
from urllib.parse import unquote_to_bytes

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

# ID-13: these win over ids.
LITERALS = frozenset((b"it", b"root", b"this"))
# What OData may say besides with a dollar inside the value of a query option: an id where there is such a call.
WORDS = frozenset(
    b"all count value ref links each crossjoin entity id metadata filter select expand orderby search "
    b"top skip format compute apply levels index schemaversion deltatoken skiptoken".split())
# Options whose value is no expression: a string is put in as it is.
_OPAQUE = frozenset([b"$skiptoken", b"$deltatoken", b"$format", b"$schemaversion", b"$id"])
_QUOTED = rb"(?:'|%27)(?:(?!'|%27).)*(?:'|%27)"
_PHRASE = rb'(?:"|%22)(?:(?!"|%22).)*(?:"|%22)'
_INNER_OPTION = rb"(?:[(;]|%28|%3[Bb])(?:\$|%24)[A-Za-z]+(?==|%3[Dd])"
# Letters of names, also encoded, "@" and "$" of annotations; what else is encoded ends a path.
_SEGMENT = (
    rb"(?:[A-Za-z0-9._~@$\x80-\xff-]"
    rb"|%(?:[89A-Fa-f][0-9A-Fa-f]|2[4DdEe]|3[0-9]|4[0-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe]))+"
)
_REFERENCE = (
    rb"(?:(?<![A-Za-z0-9._~-])|(?<=%[0-9A-Fa-f]{2}))(?:\$|%24)([A-Za-z0-9._~-]+)"
    rb"((?:(?:/|%2[Ff])" + _SEGMENT + rb")*)"
)
_IN_QUERY = re.compile(b"|".join([_QUOTED, _INNER_OPTION, _REFERENCE]), re.DOTALL)
_IN_EXPRESSION = re.compile(b"|".join([_QUOTED, _PHRASE, _INNER_OPTION, _REFERENCE]), re.DOTALL)
_SLASH = re.compile(rb"/|%2[Ff]")


cdef class Reference:
    pass


cdef Reference new_reference(bytes name, list path, bytes tail, int kind, bint needed, Py_ssize_t start, Py_ssize_t end):
    cdef Reference made = Reference.__new__(Reference)
    made.name = name
    made.path = path
    made.tail = tail
    made.kind = kind
    made.needed = needed
    made.start = start
    made.end = end
    return made


# --- in the query


cdef bint query_may_refer(bytes target) noexcept:
    """Whether a value in the query holds a dollar, encoded or not."""
    cdef const char* p = PyBytes_AS_STRING(target)
    cdef const char* end = p + PyBytes_GET_SIZE(target)
    cdef bint in_value = False
    p = <const char*>memchr(p, c'?', end - p)
    if p == NULL:
        return False
    while p < end:
        if p[0] == c'&':
            in_value = False
        elif p[0] == c'=':
            in_value = True
        elif in_value and (p[0] == c'$' or (p[0] == c'%' and end - p >= 3 and p[1] == c'2' and p[2] == c'4')):
            return True
        p += 1
    return False


def query_references(bytes target not None):
    """Yields what has the form of a reference in the query of a path, in order."""
    at = target.index(b"?") + 1
    while at < len(target):
        end = target.find(b"&", at)
        if end < 0:
            end = len(target)
        equals = target.find(b"=", at, end)
        if equals >= 0:
            option = unquote_to_bytes(target[at:equals])
            expression = option.startswith((b"$", b"@"))
            kind = AS_LITERAL if expression else AS_PLAIN
            if option in _OPAQUE:
                kind = AS_PLAIN
            elif option == b"$search":
                kind = AS_PHRASE
            for found in (_IN_EXPRESSION if expression else _IN_QUERY).finditer(target, equals + 1, end):
                name = found.group(1)
                if name is None or name in LITERALS:
                    continue
                start = found.start()
                # `/$name` is a segment of a path: one that is not known here may be known to the upstream.
                in_path = target[start - 1:start] == b"/" or target[start - 3:start].upper() == b"%2F"
                if in_path and name in WORDS:
                    continue              # `Items/$count`
                path = [unquote_to_bytes(part) for part in _SLASH.split(found.group(2))[1:]]
                yield new_reference(name, path, None, kind, expression and not in_path and name not in WORDS, start, found.end())
        at = end + 1


# --- in the body


cdef bint body_may_refer(Call call) except -1:
    """Whether the body is JSON by its type and has a string that begins with a dollar."""
    cdef bytes media
    if call.body_owner is None or memmem(call.body_ptr, call.body_len, b'"$', 2) == NULL:
        return False
    media = block_get(call.head, "content-type", 12)
    return media is not None and media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media)) == MEDIA_JSON


cdef BodyScan scan_body(Call call, frozenset names, bint all_names):
    """names: whose values the body may ask for. all_names: others, too."""
    cdef BodyScan found = BodyScan.__new__(BodyScan)
    found.call = call
    found.p = <const uint8_t*>call.body_ptr
    found.n = call.body_len
    found.names = names
    found.all_names = all_names
    scan_start(&found.validity, MAX_DEPTH, NULL, 0)
    return found


cdef bint is_link(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """Whether the member named so holds a link to a resource or an array of them (ID-11)."""
    return (
        (n == 3 and memcmp(p, b"@id", 3) == 0) or (n == 9 and memcmp(p, b"@odata.id", 9) == 0)
        or (n > 11 and memcmp(p + n - 11, b"@odata.bind", 11) == 0)
    )


cdef bint is_space(uint8_t c) noexcept nogil:
    return c == c' ' or c == c'\n' or c == c'\r' or c == c'\t'


cdef class BodyScan:
    cdef bint step(self, Py_ssize_t most) except -1:
        """Allows for `most` more bytes of work; whether next() may be called. The whole body is checked first."""
        cdef Py_ssize_t n = min(most, self.n - self.checked)
        if not self.valid and self.checked < self.n:
            if self.validity.state != SCAN_DONE:
                self.checked += scan(&self.validity, self.p + self.checked, n)
                if self.validity.state == SCAN_BAD:
                    self.at = self.n
            else:
                while n and is_space(self.p[self.checked]):
                    self.checked += 1
                    n -= 1
                if n:
                    self.at = self.n        # something follows the value: no JSON
            if self.at < self.n and self.checked < self.n:
                return False
            self.valid = self.at < self.n and (self.validity.state == SCAN_DONE or scan_end(&self.validity))
            if not self.valid:
                self.checked = self.at = self.n
            return False
        self.stop = min(self.n, self.at + most)
        return True

    cdef bint over(self) noexcept:
        return self.at >= self.n

    cdef Reference next(self):
        """The next string that has the form of a reference, or None: there is none before `stop`."""
        cdef const uint8_t* p = self.p
        cdef Py_ssize_t n = self.n, start, stop
        cdef bint escaped, in_object, link
        cdef int depth
        cdef uint64_t bit
        cdef bytes name
        cdef Reference found
        while self.at < self.stop:
            depth = self.depth
            bit = <uint64_t>1 << (depth & 63)
            in_object = (self.objects[depth >> 6] & bit) != 0
            if p[self.at] == c'"':
                start = self.at + 1
                stop = string_end(p, start, n, &escaped)
                self.at = skip_space(p, stop + 1, n)
                if in_object and self.at < n and p[self.at] == c':':
                    self.at += 1
                    if escaped:
                        name = unescaped(p + start, stop - start)
                        self.link = is_link(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
                    else:
                        self.link = is_link(p + start, stop - start)
                elif stop - start > 1 and p[start] == c'$':
                    link = self.link if in_object else (self.links[depth >> 6] & bit) != 0
                    found = self.string(start, stop, escaped, link)
                    if found is not None:
                        return found
            elif p[self.at] == c'{' or p[self.at] == c'[':
                link = p[self.at] == c'[' and in_object and self.link
                depth += 1
                bit = <uint64_t>1 << (depth & 63)
                self.depth = depth
                self.objects[depth >> 6] &= ~bit
                self.links[depth >> 6] &= ~bit
                if p[self.at] == c'{':
                    self.objects[depth >> 6] |= bit
                elif link:
                    self.links[depth >> 6] |= bit
                self.at += 1
            else:
                if p[self.at] == c'}' or p[self.at] == c']':
                    self.depth -= 1
                self.at += 1
        return None

    cdef Reference string(self, Py_ssize_t start, Py_ssize_t stop, bint escaped, bint link):
        """The reference that a string is, or None. Its quotes belong to what is replaced."""
        cdef const uint8_t* p = self.p + start
        cdef Py_ssize_t n = stop - start, slash = 1
        cdef bytes name, text = None
        if not link and self.names is None and not self.all_names:
            return None
        if escaped:
            text = unescaped(p, n)
            p = <const uint8_t*>PyBytes_AS_STRING(text)
            n = PyBytes_GET_SIZE(text)
        if link:
            if text is None:
                text = p[:n]
            name = reference_of(text)
            if name is None:
                return None
            return new_reference(name, None, text[len(name) + 1:], AS_URL, True, start - 1, stop + 1)
        while slash < n and p[slash] != c'/':
            slash += 1
        if slash == n or slash > MAX_ID + 1 or not is_request_id(<const char*>p + 1, slash - 1):
            return None                     # PL-09: no reference to an id that is opaque
        name = p[1:slash]
        if not (self.all_names or name in self.names) or name in (b"it", b"root", b"this"):
            return None
        text = p[slash + 1:n]
        return new_reference(name, text.split(b"/", MAX_PATH), None, AS_JSON, False, start - 1, stop + 1)


def body_references(bytes body not None, names=()):
    """For tests: the possible references of a JSON body; names: what it may ask values of."""
    cdef Call call = Call.__new__(Call)
    cdef BodyScan search
    cdef list found = []
    cdef Reference one
    call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    search = scan_body(call, frozenset(names), False)
    while not search.over():
        if search.step(7):
            one = search.next()
            while one is not None:
                found.append(one)
                one = search.next()
    return found
