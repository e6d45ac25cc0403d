"""Where an inner URL leads: from what the client wrote to a path under the service root, or nowhere.

Rules JB-09, JB-10, GW-05, GW-06, GW-10, PR-05, JB-04. What is forwarded is the very text that was checked
(background: CVE-2019-9901, CVE-2021-29492). Must never let a URL leave the service root.
"""
from batchwire.core.model cimport Buffer
from batchwire.core.origins cimport Origins, same_origin
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp


import re

# ID-07: names that mean the system resource and not a call's id.
SYSTEM_RESOURCES = frozenset([b"batch", b"crossjoin", b"all", b"entity", b"root", b"id", b"metadata"])
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)(?=[/?]|$)")

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    MAX_LAYERS = 4            # of percent-encoding: a URL with as many is refused
    MOST_GROWTH = 1048576     # bytes that next links add to one answer: a page has few of them
    MOST_RESPELLED = 1000     # next links of one answer whose origin may be another spelling of the upstream's

cdef enum:
    PLAIN = 0         # as it is
    ENCODE = 1        # percent-encode: cannot stand in a request line, but has one meaning only
    REFUSE = 2        # control characters, backslash, fragment: ambiguous or dangerous
    LOOK = 3          # "%", ".", "$", ";": needs the careful path

cdef uint8_t[256] CLASSES
for _c in range(256):
    CLASSES[_c] = PLAIN
    if _c < 32 or _c == 127 or _c in b"\\#":
        CLASSES[_c] = REFUSE
    elif _c > 127 or _c in b' "<>^`{|}':
        CLASSES[_c] = ENCODE
    elif _c in b"%.$;":
        CLASSES[_c] = LOOK

# What servers leave off a name, or take for nothing.
cdef bytes EDGES = b" \t\x0b\x0c.()"
cdef const char* EDGES_PTR = EDGES
cdef Py_ssize_t N_EDGES = len(EDGES)

cdef bytes HEX = b"0123456789ABCDEF"


cdef str refused_character(uint8_t c):
    """One of the class REFUSE, for people."""
    return f"'{chr(c)}'" if c in b"\\#" else f"the control character 0x{c:02x}"


cdef bytes reference_of(bytes rest):
    """The id of the call that the first segment `$<id>` refers to (ID-05, ID-06), or None."""
    if PyBytes_GET_SIZE(rest) < 2 or PyBytes_AS_STRING(rest)[0] != 36:
        return None
    found = _REFERENCE.match(rest)
    if found is None:
        return None
    name = found.group(1)
    return None if name in SYSTEM_RESOURCES else name


cdef const char* next_link(const char* p, const char* end, Py_ssize_t* size) noexcept nogil:
    """The next or delta link in a JSON body from p on, without its quotes, or NULL: of the body, or of a member of it
    (`Items@odata.nextLink`). It looks for L, which is rare: that costs next to nothing. A link whose text would have to be
    unescaped is passed over: those are rare enough to stay as they are.
    """
    cdef const char* start = p
    cdef const char* at
    while p < end:
        p = <const char*>memchr(p, c'L', end - p)
        if p == NULL:
            return NULL
        if end - p >= 5 and memcmp(p, b'Link"', 5) == 0 and (
                is_annotation(p, p - start, b"next", 4) or is_annotation(p, p - start, b"delta", 5)):
            at = value_of(p + 5, end)
            if at != NULL:
                p = <const char*>memchr(at, c'"', end - at)
                if p == NULL:
                    return NULL
                if memchr(at, c'\\', p - at) == NULL:
                    size[0] = p - at
                    return at
        p += 1
    return NULL


cdef bint is_annotation(const char* p, Py_ssize_t n, const char* word, Py_ssize_t size) noexcept nogil:
    """Whether there stand, in the n bytes before p, `@` and the word, `@odata.` and it, or `"odata.` and it (OData 3)."""
    p -= size
    n -= size
    if n < 1 or memcmp(p, word, size) != 0:
        return False
    return (p - 1)[0] == c'@' or (
        n >= 7 and memcmp(p - 6, b"odata.", 6) == 0 and ((p - 7)[0] == c'@' or (p - 7)[0] == c'"'))


cdef const char* value_of(const char* p, const char* end) noexcept nogil:
    """The inside of the string that is the value of the member whose name ends at p, or NULL."""
    cdef bint colon = False
    while p < end:
        if p[0] == c':' and not colon:
            colon = True
        elif p[0] == c'"':
            return p + 1 if colon else NULL
        elif p[0] != c' ' and p[0] != c'\n' and p[0] != c'\r' and p[0] != c'\t':
            return NULL
        p += 1
    return NULL


cdef bint begins(const char* p, Py_ssize_t n, bytes with_it) noexcept:
    return n >= PyBytes_GET_SIZE(with_it) and memcmp(p, PyBytes_AS_STRING(with_it), PyBytes_GET_SIZE(with_it)) == 0


cdef bint is_dots(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    return (n == 1 or (n == 2 and p[1] == c'.')) and p[0] == c'.'


cdef int digit_of(uint8_t c) noexcept nogil:
    """What a hexadecimal digit says, or -1."""
    if c'0' <= c <= c'9':
        return c - c'0'
    c |= 32
    return c - c'a' + 10 if c'a' <= c <= c'f' else -1


cdef bint undo_percent(Buffer text) noexcept:
    """Undoes one layer of percent-encoding; whether there was any."""
    cdef uint8_t* p = <uint8_t*>text.data
    cdef Py_ssize_t n = text.size, i = 0, k = 0
    while i < n:
        if p[i] == c'%' and n - i > 2 and digit_of(p[i + 1]) >= 0 and digit_of(p[i + 2]) >= 0:
            p[k] = <uint8_t>(digit_of(p[i + 1]) << 4 | digit_of(p[i + 2]))
            i += 3
        else:
            p[k] = p[i]
            i += 1
        k += 1
    text.size = k
    return k < n


cdef str disguise_of(const uint8_t* p, Py_ssize_t n):
    """What is wrong with a segment as it stands, as one sentence, or None."""
    cdef Py_ssize_t at = 0, stop, end, start
    cdef bint control = False
    while at <= n:
        stop = at
        while stop < n and p[stop] != c'/' and p[stop] != c'\\':
            control = control or p[stop] == 0 or p[stop] == c'\r' or p[stop] == c'\n'
            stop += 1
        end = at
        while end < stop and p[end] != c';':
            end += 1
        if is_dots(p + at, end - at):
            return "the URL has a disguised dot segment"
        start = at
        while start < end and memchr(EDGES_PTR, p[start], N_EDGES) != NULL:
            start += 1
        while end > start and memchr(EDGES_PTR, p[end - 1], N_EDGES) != NULL:
            end -= 1
        if end - start == 6 and strncasecmp(<const char*>p + start, b"$batch", 6) == 0:
            return "a batch must not hold a batch"
        at = stop + 1
    return "the URL has a character that is not allowed" if control else None


cdef bytes encoded(bytes rest):
    """With what cannot stand in a request line percent-encoded."""
    cdef const uint8_t* p = rest
    cdef Py_ssize_t i
    cdef Buffer out = Buffer()
    out.grow(PyBytes_GET_SIZE(rest))
    for i in range(PyBytes_GET_SIZE(rest)):
        if CLASSES[p[i]] == ENCODE:
            out.put_char(c'%')
            out.put_char(PyBytes_AS_STRING(HEX)[p[i] >> 4])
            out.put_char(PyBytes_AS_STRING(HEX)[p[i] & 15])
        else:
            out.put_char(p[i])
    return out.take()


cdef class UrlRules:
    """
    root: service root, "/" at both ends. authority: (scheme, host[:port]) of the batch URL, or several that it has,
    or None over gRPC. strict: the profile (PR-05). mounts: what other upstreams' prefixes are below the root. bare: `batch` is an endpoint, too (CL-11).
    After a refusal `why` holds one sentence.
    """

    def __init__(self, bytes root not None, authority=None, bint strict=False, list mounts=None, bint bare=True):
        self.root = root
        self.strict = strict
        self.mounts = mounts or []
        self.bare = bare
        self.scratch = Buffer()
        self.origins = Origins(authority, strict)
        self.origin = self.origins.public

    cdef bytes relative(self, bytes url):
        """The part below the service root, not yet normalised, or None with `why`."""
        cdef const char* p = PyBytes_AS_STRING(url)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(url)
        cdef Py_ssize_t k
        if n and p[0] != 47:
            if memchr(p, 58, n) == NULL:
                return url
            if _SCHEME.match(url) is None:
                return url
            if self.origin is None:
                self.why = "an absolute URL is not accepted here"
                return None
            scheme, _, after = url.partition(b":")
            if not after.startswith(b"//"):
                self.why = "the URL has a scheme but no server"
                return None
            after = after[2:]
            cut = min([i for i in (after.find(b"/"), after.find(b"?"), len(after)) if i >= 0])
            if not self.origins.holds(scheme + b"://" + after[:cut]):
                self.why = "the URL leads to another server"
                return None
            url = after[cut:] or b"/"
            if not url.startswith(b"/"):
                url = b"/" + url
            p = PyBytes_AS_STRING(url)
            n = PyBytes_GET_SIZE(url)
        elif n == 0:
            return url
        if n > 1 and p[1] == 47:
            self.why = "the URL leads to another server"
            return None
        k = PyBytes_GET_SIZE(self.root)
        if n >= k and memcmp(p, PyBytes_AS_STRING(self.root), k) == 0:
            return url[k:]
        # "/svc" and "/svc?..." are the service root itself.
        if n >= k - 1 and memcmp(p, PyBytes_AS_STRING(self.root), k - 1) == 0 and (n == k - 1 or p[k - 1] == 63):
            return url[k - 1:]
        if self.strict:
            self.why = "the URL does not lie under the service root"
            return None
        return url[1:]

    cdef bytes normal(self, bytes rest):
        """Checks and normalises a part below the root: what may be forwarded, or None with `why`."""
        cdef const uint8_t* p = rest
        cdef Py_ssize_t n = PyBytes_GET_SIZE(rest)
        cdef Py_ssize_t i
        cdef int seen = 0
        cdef bint in_path = True, look = False, encode = False
        for i in range(n):
            seen = CLASSES[p[i]]
            if seen == PLAIN:
                if p[i] == 63:
                    in_path = False
                continue
            if seen == REFUSE:
                self.why = f"the URL has a character that is not allowed: {refused_character(p[i])}"
                return None
            if seen == ENCODE:
                encode = True
            elif in_path:
                look = True
        if n and p[0] == 47:
            self.why = "the URL leads to another server"
            return None
        if n >= 5 and self.bare and not look:
            # A name that begins like a batch endpoint; below a mount it may stand further on.
            look = memcmp(p, "batch", 5) == 0 or (self.mounts and b"/batch" in rest)
        if look:
            rest = self.checked(rest)
            if rest is None:
                return None
        if reference_of(rest) is not None:
            # `./$1`, or a Location that looks like a reference: GW-14 forwards none as it stands.
            self.why = "the URL hides a reference"
            return None
        return encoded(rest) if encode else rest

    cdef bytes checked(self, bytes rest):
        """The careful path: dot segments, what hides behind percent-encoding, nested batches."""
        cdef const uint8_t* p = rest
        cdef Py_ssize_t n = PyBytes_GET_SIZE(rest), at = 0, stop, end
        cdef bytes root = self.root[1:]
        cdef Py_ssize_t below = PyBytes_GET_SIZE(root)
        cdef Buffer whole = Buffer()                # each segment with a slash behind it
        cdef const char* found = <const char*>memchr(p, c'?', n)
        cdef bytes path
        end = n if found == NULL else found - <const char*>p
        whole.put_bytes(root)
        while at <= end:
            stop = at
            while stop < end and p[stop] != c'/':
                stop += 1
            if is_dots(p + at, stop - at):
                if stop - at == 2:
                    if whole.size == 0:
                        self.why = "the URL leaves the service root"
                        return None
                    whole.size -= 1
                    while whole.size and whole.data[whole.size - 1] != c'/':
                        whole.size -= 1
                if stop == end:
                    whole.put_char(c'/')
            elif self.hides(p + at, stop - at):
                return None
            else:
                whole.put(<const char*>p + at, stop - at)
                whole.put_char(c'/')
            at = stop + 1
        # `./` + `/host/x` must not become what `//host/x` is refused for.
        if whole.size <= below or memcmp(whole.data, PyBytes_AS_STRING(root), below) != 0 \
                or (whole.data[below] == c'/' and whole.size > below + 1):
            self.why = "the URL leaves the service root"
            return None
        path = PyBytes_FromStringAndSize(whole.data + below, whole.size - below - 1)
        if self.bare and self.is_endpoint(path):
            self.why = "a batch must not hold a batch"
            return None
        return path + rest[end:]

    cdef bint is_endpoint(self, bytes path) except -1:
        """Whether a dialect takes batches there: at `batch` and below it, of the route and of each mount (CL-11)."""
        cdef Buffer scratch = self.scratch
        scratch.size = 0
        scratch.put_bytes(path)
        while undo_percent(scratch):
            pass
        path = PyBytes_FromStringAndSize(scratch.data, scratch.size).replace(b"\\", b"/")
        for prefix in (b"", *self.mounts):
            if path.startswith(prefix):
                name = path[len(prefix):].lstrip(b"/").partition(b"/")[0].partition(b";")[0]
                if name.strip(EDGES) == b"batch":
                    return True
        return False

    cdef bint hides(self, const uint8_t* p, Py_ssize_t n) except -1:
        """Whether a segment is, after decoding, something other than it seems."""
        cdef Buffer scratch = self.scratch
        cdef int left = MAX_LAYERS
        self.why = disguise_of(p, n)
        if self.why is not None:
            return True
        if memchr(p, c'%', n) == NULL:
            return False
        scratch.size = 0
        scratch.put(<const char*>p, n)
        while undo_percent(scratch):
            left -= 1
            if left == 0:
                self.why = "the URL is encoded too many times"
                return True
            self.why = disguise_of(<const uint8_t*>scratch.data, scratch.size)
            if self.why is not None:
                return True
        return False

    cdef bytes public(self, bytes location, bytes upstream_origin, bytes base_path, bytes mount=None):
        """An upstream's absolute URL or path as the client may use it (GW-10); others stay as they are.

        mount: where below the root that upstream is mounted, or None.
        """
        cdef bytes below = self.below(location, upstream_origin, base_path)
        if below is None:
            return location
        if mount is not None:
            below = mount + below
        if location.startswith(b"/"):
            return self.root + below
        return (self.origin or b"") + self.root + below

    cdef bytes public_links(self, const char* body, Py_ssize_t n, bytes upstream_origin, bytes base_path,
                            bytes mount=None):
        """A JSON body whose next and delta links lead to the upstream, with public ones (GW-10); None: nothing to do.

        ValueError: it would become much larger.
        """
        cdef const char* at = body
        cdef const char* end = body + n
        cdef const char* link
        cdef Py_ssize_t size = 0, cut
        cdef bytes path = None, whole = None
        cdef Buffer out = None
        self.respelled = 0
        link = next_link(body, end, &size)
        while link != NULL:
            cut = self.own(link, size, upstream_origin, base_path)
            if cut >= 0:
                if out is None:
                    out = Buffer()
                    path = self.root if mount is None else self.root + mount
                    whole = (self.origin or b"") + path
                out.put(at, link - at)
                out.put_bytes(path if link[0] == c'/' else whole)
                at = link + cut
                if out.size - (at - body) > MOST_GROWTH:
                    raise ValueError("there are too many")
            link = next_link(link + size + 1, end, &size)
        if out is None:
            return None
        out.put(at, end - at)
        return out.take()

    cdef bytes below(self, bytes location, bytes upstream_origin, bytes base_path):
        """The part of an upstream's URL below its base path, when it lies there and is not public already."""
        cdef Py_ssize_t cut
        self.respelled = 0
        cut = self.own(PyBytes_AS_STRING(location), PyBytes_GET_SIZE(location), upstream_origin, base_path)
        return None if cut < 0 else location[cut:]

    cdef Py_ssize_t own(self, const char* p, Py_ssize_t n, bytes upstream_origin, bytes base_path) except -2:
        """How much of a URL is origin and base path of the upstream; -1: it leads elsewhere, or is public already."""
        cdef Py_ssize_t k = 0
        if n == 0 or p[0] != c'/':
            k = PyBytes_GET_SIZE(upstream_origin)
            if not begins(p, n, upstream_origin) or (n > k and p[k] != c'/' and p[k] != c'?' and p[k] != c'#'):
                k = self.respelled_end(p, n, upstream_origin)
            if k < 0:
                return -1
            if k == n:
                return k if base_path == b"/" else -1
        elif (n > 1 and p[1] == c'/') or (
                begins(p, n, self.root) and PyBytes_GET_SIZE(self.root) >= PyBytes_GET_SIZE(base_path)):
            return -1
        return k + PyBytes_GET_SIZE(base_path) if begins(p + k, n - k, base_path) else -1

    cdef Py_ssize_t respelled_end(self, const char* p, Py_ssize_t n, bytes origin) except -2:
        """Where another spelling of this origin at the front of a URL ends (CL-08), or -1: there is none."""
        # It has scheme and host in common with it; what has not costs no more.
        cdef Py_ssize_t host = origin.rfind(b":")
        if host < 6:
            host = PyBytes_GET_SIZE(origin)
        if n < host or strncasecmp(p, PyBytes_AS_STRING(origin), host) != 0 or self.respelled == MOST_RESPELLED:
            return -1
        self.respelled += 1
        found = _ORIGIN.match(p[:n])
        return found.end() if found is not None and same_origin(found.group(), origin) else -1

    cdef bytes locate(self, bytes location, bytes upstream_origin, bytes base_path, bytes own, bytes mount=None):
        """The part below the root that a Location means (ID-08, GW-10, GW-14); None: it leads elsewhere.

        own: the part below the root of the request that the Location answers.
        """
        cdef bytes below
        below = self.below(location, upstream_origin, base_path)
        if below is not None:
            return below if mount is None else mount + below
        if location.startswith(b"/") or _SCHEME.match(location) is not None:
            strict = self.strict
            self.strict = True
            try:
                return self.relative(location)
            finally:
                self.strict = strict
        # Relative: against the effective URL of its own request (RFC 3986 5.2.2).
        if not location:
            return own
        path = own.partition(b"?")[0]
        if location.startswith(b"?"):
            return path + location
        folder = path.rpartition(b"/")[0]
        return folder + b"/" + location if folder else location

    def resolve(self, bytes url not None):
        """For tests and `batchwire check`: the part below the root; ValueError says why not."""
        rest = self.relative(url)
        if rest is not None and reference_of(rest) is None:
            rest = self.normal(rest)
        if rest is None:
            raise ValueError(self.why)
        return rest

    def publish(self, bytes location not None, bytes upstream_origin not None, bytes base_path not None):
        """public() for tests."""
        return self.public(location, upstream_origin, base_path)

    def follow(self, bytes location not None, bytes upstream_origin not None, bytes base_path not None,
               bytes own not None):
        """locate() for tests."""
        return self.locate(location, upstream_origin, base_path, own)

    def publish_links(self, bytes body not None, bytes upstream_origin not None, bytes base_path not None):
        """public_links() for tests."""
        return self.public_links(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), upstream_origin, base_path)
