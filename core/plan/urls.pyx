"""Where an inner URL leads: from what the client wrote to a path under the service root, or nowhere.

Rules JB-09, JB-10, GW-05, GW-06, GW-10, PR-05, JB-04. What is forwarded is the very text that was checked
(background: CVE-2019-9901, CVE-2021-29492). Must never let a URL leave the service root.
"""
from batchwire.core.origins cimport Origins, same_origin
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp


import re
from urllib.parse import unquote_to_bytes

# ID-07: names that mean the system resource and not a call's id.
SYSTEM_RESOURCES = frozenset([b"batch", b"crossjoin", b"all", b"entity", b"root", b"id", b"metadata"])
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
# A link whose text needs no unescaping; others are rare enough to stay as they are.
_NEXT_LINK = re.compile(rb'("@(?:odata\.)?nextLink"\s*:\s*")([^"\\]*)"')
_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)(?=[/?]|$)")

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

cdef bytes HEX = b"0123456789ABCDEF"


cdef bytes reference_of(bytes rest):
    """The id of the call that the first segment `$<id>` refers to (ID-05, ID-06), or None."""
    if PyBytes_GET_SIZE(rest) < 2 or PyBytes_AS_STRING(rest)[0] != 36:
        return None
    found = _REFERENCE.match(rest)
    if found is None:
        return None
    name = found.group(1)
    return None if name in SYSTEM_RESOURCES else name


cdef bint holds_link(const char* p, Py_ssize_t n) noexcept nogil:
    """Whether a body has a member that ends in nextLink. It looks for L, which is rare: that costs next to nothing."""
    cdef const char* end = p + n
    cdef const char* start = p
    while p < end:
        p = <const char*>memchr(p, c'L', end - p)
        if p == NULL:
            return False
        if p - start >= 4 and end - p >= 5 and memcmp(p - 4, b'nextLink"', 9) == 0:
            return True
        p += 1
    return False


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
                self.why = "the URL has a character that is not allowed"
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
        if encode:
            rest = b"".join([
                bytes((c,)) if CLASSES[c] != ENCODE else b"%" + HEX[c >> 4:(c >> 4) + 1] + HEX[c & 15:(c & 15) + 1]
                for c in bytearray(rest)
            ])
        return rest

    def checked(self, bytes rest):
        """The careful path: dot segments, what hides behind percent-encoding, nested batches."""
        path, mark, query = rest.partition(b"?")
        whole = []
        root = self.root.strip(b"/").split(b"/") if len(self.root) > 1 else []
        below = len(root)
        segments = root + path.split(b"/")
        for number, segment in enumerate(segments):
            last = number == len(segments) - 1
            if segment == b"." or segment == b"..":
                if segment == b"..":
                    if not whole:
                        self.why = "the URL leaves the service root"
                        return None
                    whole.pop()
                if last:
                    whole.append(b"")
                continue
            if number >= below and self.hides(segment):
                return None
            whole.append(segment)
        # `./` + `/host/x` must not become what `//host/x` is refused for.
        if whole[:below] != root or len(whole) <= below or (whole[below] == b"" and len(whole) > below + 1):
            self.why = "the URL leaves the service root"
            return None
        path = b"/".join(whole[below:])
        if self.bare and self.is_endpoint(path):
            self.why = "a batch must not hold a batch"
            return None
        return path + mark + query

    def is_endpoint(self, bytes path):
        """Whether a dialect takes batches there: at `batch` and below it, of the route and of each mount (CL-11)."""
        while True:
            decoded = unquote_to_bytes(path)
            if decoded == path:
                break
            path = decoded
        path = path.replace(b"\\", b"/")
        for prefix in (b"", *self.mounts):
            if path.startswith(prefix):
                name = path[len(prefix):].lstrip(b"/").partition(b"/")[0].partition(b";")[0]
                if name.strip(EDGES) == b"batch":
                    return True
        return False

    def hides(self, bytes segment):
        """Whether a segment is, after decoding, something other than it seems."""
        plain = segment
        for _ in range(4):
            for part in re.split(rb"[/\\]", plain):
                name = part.partition(b";")[0]
                if name in (b".", b"..") and plain != b".":
                    self.why = "the URL has a disguised dot segment"
                    return True
                if name.strip(EDGES).lower() == b"$batch":
                    self.why = "a batch must not hold a batch"
                    return True
            if b"\0" in plain or b"\r" in plain or b"\n" in plain:
                self.why = "the URL has a character that is not allowed"
                return True
            decoded = unquote_to_bytes(plain)
            if decoded == plain:
                return False
            plain = decoded
        self.why = "the URL is encoded too many times"
        return True

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
        """A JSON body whose next links lead to the upstream, with public ones (GW-10); None: nothing to do."""
        if not holds_link(body, n):
            return None
        return self.relinked(PyBytes_FromStringAndSize(body, n), upstream_origin, base_path, mount)

    cdef bytes relinked(self, bytes text, bytes upstream_origin, bytes base_path, bytes mount):
        """Apart, because what its closure holds is made anew at each call."""
        changed = _NEXT_LINK.sub(
            lambda found: found.group(1) + self.public(found.group(2), upstream_origin, base_path, mount) + b'"', text)
        return None if changed == text else changed

    def below(self, bytes location, bytes upstream_origin, bytes base_path):
        """The part of an upstream's URL below its base path, when it lies there and is not public already."""
        path = location
        if not location.startswith(b"/"):
            found = _ORIGIN.match(location)
            if found is None or not same_origin(found.group(), upstream_origin):
                return None
            path = location[found.end():] or b"/"
        elif location.startswith(b"//"):
            return None
        elif location.startswith(self.root) and len(self.root) >= len(base_path):
            return None
        if path.startswith(base_path):
            return path[len(base_path):]
        return None

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
