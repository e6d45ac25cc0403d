"""What calls may take from the calls they depend on: a URL, an ETag, values, whole results.

Rules ID-05..ID-10, GW-14, PL-01, PL-02, PL-08. References are resolved by looking values up, never by evaluating anything
(background: CVE-2014-7205). What is kept for calls still to come is bounded, in a batch and in the process: the oldest
goes first, of the batch that keeps the most. So is what waiting calls hold: beyond that a body is not kept, and who
refers to it is refused.
"""
from batchwire.core.dialects.codings import decode
from batchwire.core.dialects.json_index cimport FOUND_VALUE, NO_VALUE, index_of
from batchwire.core.dialects.json_scan cimport MAX_DEPTH
from batchwire.core.dialects.json_strings cimport has_half_pair, unescaped
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.dialects.plain_body cimport codings_of, is_coded
from batchwire.core.model cimport (
    Call, HeaderSlice, KIND_CONTENT_TYPE, KIND_ENTITY_ID, KIND_ETAG,
    KIND_LOCATION, Result,
)
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

import re
from collections import deque

from batchwire.core.dialects import odd_bodies

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

cdef enum:
    MAX_BODY = 1 << 20          # a larger answer cannot be referred to by its values
    MAX_BODY_FOR_LATER = 65536
    OVERHEAD = 256              # what a Kept costs beside its bytes
    MAX_WHOLE = 64 << 20        # bytes of one body that is kept whatever it is
    HANDED = 8                  # times the budget: bytes that waiting calls of a batch hold of what others left
    HEADS = 16 << 20            # and of URLs and ETags alone, where bodies have taken all of these
    INDEXES = 4                 # the same of indexes; the oldest goes first
    MAX_ETAG = 4096             # of a body; a longer one is no value of a header
    MAX_PLACED = 1 << 20        # bytes of the URLs that the members of a group get when it has run (PL-01)
    LITTLE = 65536              # bytes that a batch may keep in any case

cdef list ETAG_PATHS = [[b"@etag"], [b"@odata.etag"]]

_ETAG_REFERENCE = re.compile(rb"(?:^|\n)(if-match|if-none-match): \$([A-Za-z0-9._~-]+)\r", re.IGNORECASE)


cdef Py_ssize_t process_kept = 0
cdef set keepers = set()        # References that keep more than LITTLE


def stats():
    """Debug counters: bytes that batches keep for calls still to come."""
    return {"references_kept": process_kept}


cdef int make_room(Py_ssize_t bound) except -1:
    """Lets answers go, of those that keep the most, until all together keep no more than the bound."""
    cdef References most, one
    cdef Py_ssize_t half
    while process_kept > bound and keepers:
        most = None
        for one in keepers:
            if most is None or one.held > most.held:
                most = one
        half = most.held // 2           # not only as much as is needed now: the search goes through all of them
        while most.held > max(half, LITTLE):
            most.forget_oldest()
    return 0


cdef class Kept:
    pass


cdef class References:
    """budget, process_budget: bytes that this batch, and all of the process, may keep for calls that have not been read yet.
    What waiting calls hold is in proportion to the first."""

    def __init__(self, Py_ssize_t budget, Py_ssize_t process_budget):
        self.kept = {}
        self.given = {}
        self.indexed = {}
        self.budget = budget
        self.process_budget = process_budget
        self.forgotten = Kept.__new__(Kept)
        self.forgotten.missing = MISSING_FORGOTTEN

    def __dealloc__(self):
        global process_kept
        process_kept -= self.held

    cdef int count(self, Py_ssize_t more) except -1:
        global process_kept
        self.held += more
        process_kept += more
        if self.held > LITTLE:
            keepers.add(self)
        else:
            keepers.discard(self)
        return 0

    cdef Kept keep(self, Call call, Result result, bint for_later, bint whole):
        """What `call` leaves; whole: also a body that is not JSON, whatever its size."""
        cdef Kept kept
        cdef HeaderSlice* header
        cdef Py_ssize_t most = MAX_BODY_FOR_LATER if for_later else MAX_BODY
        cdef bint is_json_type
        if not for_later and self.handed > HANDED * self.budget + HEADS:
            return crowded_out(call, result)
        kept = left_by(call, result)
        if whole:
            most = self.budget if for_later else MAX_WHOLE
        if not for_later and self.handed and self.handed + result.body_len > HANDED * self.budget:
            most = -1
        header = result.find(KIND_CONTENT_TYPE)
        is_json_type = header != NULL and media_kind(header.value, header.value_len) == MEDIA_JSON
        if result.body_owner is None:
            if result.body_left_out:
                kept.missing = MISSING_LARGE
            elif whole:
                kept.content = b""
        elif result.body_len <= most:
            if whole or is_json_type:
                kept.content = plain_body(result, most)
            if is_json_type and kept.content is not None and PyBytes_GET_SIZE(kept.content) <= MAX_BODY:
                kept.body = kept.content
                kept.media = PyBytes_FromStringAndSize(header.value, header.value_len)
            elif is_json_type or kept.content is None and whole:
                kept.missing = MISSING_LARGE
        elif is_json_type or whole:
            kept.missing = MISSING_CROWDED if most < 0 else MISSING_LARGE
        if for_later:
            kept.later = True
            self.kept[call.id] = kept
            if self.order is None:
                self.order = deque()
            self.order.append(call.id)
            self.count(cost(kept) + PyBytes_GET_SIZE(call.id))
            while self.held > self.budget and self.order:
                self.forget_oldest()
            if process_kept > self.process_budget:
                make_room(self.process_budget)
        return kept

    cdef int forget_oldest(self) except -1:
        cdef bytes name = self.order.popleft()
        cdef Kept oldest = self.kept.pop(name)
        self.count(-cost(oldest) - PyBytes_GET_SIZE(name))
        oldest.later = False
        if oldest.holders == 0:
            self.drop_index(oldest)
        return 0

    cdef int place(self, list members, list results, UrlRules rules, Py_ssize_t longest) except -1:
        """A group has run: a member whose URL was a reference to another gets the URL that this stood for (ID-08).

        It is for those that refer to the member: one that failed needs none. Where it is longer than a URL may be, or
        all of the group are too long, the member has no usable URL.
        """
        cdef Py_ssize_t placed = 0
        cdef dict earlier = {}
        cdef dict left = {}
        cdef Call call, other
        cdef Result result, answer
        cdef Kept kept
        cdef bytes name, url
        for call, result in zip(members, results):
            name = reference_of(call.target)
            if name is not None and name in earlier and result.status < 400 and placed < MAX_PLACED:
                if name not in left:
                    other, answer = earlier[name]
                    left[name] = left_by(other, answer)
                kept = left[name]
                url = resource_url(kept, call.target[len(name) + 1:], rules)
                url = None if url is None else without_mount(url, kept)
                if url is not None and PyBytes_GET_SIZE(url) <= longest:
                    placed += PyBytes_GET_SIZE(url)
                    call.target = (<Upstream>call.upstream).base_path + url
                    call.mount = kept.mount
            earlier[call.id] = (call, result)
        return 0

    cdef Kept get(self, bytes name):
        """Of a call that is finished."""
        return self.kept.get(name, self.forgotten)

    cdef int no_more(self) except -1:
        """No more calls come."""
        cdef Kept kept
        for kept in self.kept.values():
            kept.later = False
            if kept.index is not None and kept.holders == 0:
                self.drop_index(kept)
        self.kept.clear()
        self.order = None
        return self.count(-self.held)

    cdef int close(self) except -1:
        """Nothing is kept any more, whoever still has a call that waits for it."""
        cdef Kept kept
        self.budget = 0
        self.no_more()
        for kept in self.given:
            self.drop_index(kept)
            kept.body = kept.content = kept.text = None
        self.given.clear()
        self.handed = 0
        return 0

    cdef int hand(self, Call call, bytes name, Kept kept) except -1:
        """Gives a waiting call what an earlier one left."""
        if call.inputs is None:
            call.inputs = {}
        if name not in call.inputs:
            call.inputs[name] = kept
            if kept.holders == 0:
                self.handed += cost(kept)
                self.given[kept] = None
            kept.holders += 1
        return 0

    cdef int let_go(self, Call call) except -1:
        """The call needs nothing any more of what it was handed."""
        cdef Kept kept
        if call.inputs is not None:
            for kept in call.inputs.values():
                kept.holders -= 1
                if kept.holders == 0 and kept in self.given:
                    del self.given[kept]
                    self.handed -= cost(kept)
                    if not kept.later:
                        self.drop_index(kept)
            call.inputs = None
        return 0

    # --- values

    cdef int find(self, Kept kept, list path, Py_ssize_t* start, Py_ssize_t* end) except -1:
        """Where a value lies in kept.body: a Finding. The body is gone through when a value is first asked for."""
        cdef Py_ssize_t before = 0
        cdef int found
        if kept is None or kept.body is None or kept.not_json:
            return NO_VALUE
        if kept.index is None:
            kept.index = index_of(text_of(kept))
            if kept.index is None and kept.text is None:
                kept.index = self.index_of_odd(kept)
            if kept.index is None:
                kept.not_json = True        # over gRPC nobody else has looked
                return NO_VALUE
            self.indexed[kept] = None
        else:
            before = kept.index.size
        found = kept.index.find(path, start, end)
        self.index_bytes += kept.index.size - before
        while self.index_bytes > INDEXES * self.budget and len(self.indexed) > 1:
            self.drop_index(next(iter(self.indexed)))
        return found

    cdef JsonIndex index_of_odd(self, Kept kept):
        """AN-02: JSON in another charset, or behind a byte order mark, is what the client sees: JSON."""
        if kept.media is None:
            return None
        kept.text = odd_bodies.json_in(kept.body, kept.media, MAX_DEPTH)
        if kept.text is None:
            return None
        # From here on it is a part of what it costs.
        if kept.holders:
            self.handed += PyBytes_GET_SIZE(kept.text)
        if kept.later:
            self.count(PyBytes_GET_SIZE(kept.text))
        return index_of(kept.text)

    cdef int drop_index(self, Kept kept) except -1:
        if kept.index is not None:
            self.index_bytes -= kept.index.size
            kept.index = None
            del self.indexed[kept]
        return 0

    cdef bytes etag_of(self, Kept kept):
        """The complete ETag, W/ and quotes included: of the header, else of the body (GW-14), or None."""
        cdef Py_ssize_t start = 0, end = 0
        cdef const uint8_t* p
        cdef list path
        if kept.etag is not None:
            return kept.etag
        for path in ETAG_PATHS:
            if self.find(kept, path, &start, &end) == FOUND_VALUE:
                p = <const uint8_t*>PyBytes_AS_STRING(text_of(kept)) + start
                if p[0] != c'"' or end - start > MAX_ETAG or has_half_pair(p + 1, end - start - 2):
                    return None
                return unescaped(p + 1, end - start - 2)
        return None


cdef Kept left_by(Call call, Result result):
    """What `call` leaves beside its body."""
    cdef Kept kept = Kept.__new__(Kept)
    cdef Upstream upstream = call.upstream
    cdef HeaderSlice* header
    kept.status = result.status
    kept.method = call.method
    kept.target = call.target
    kept.mount = call.mount
    kept.group = call.group
    if upstream is not None:
        kept.origin = upstream.origin
        kept.base_path = upstream.base_path
    header = result.find(KIND_LOCATION)
    if header != NULL:
        kept.location = PyBytes_FromStringAndSize(header.value, header.value_len)
    else:
        kept.entity_id = entity_id_of(result)
    header = result.find(KIND_ETAG)
    if header != NULL:
        kept.etag = PyBytes_FromStringAndSize(header.value, header.value_len)
    return kept


cdef Kept crowded_out(Call call, Result result):
    """What a call leaves when there is no room even for its URL."""
    cdef Kept kept = Kept.__new__(Kept)
    kept.status = result.status
    kept.method = call.method
    kept.group = call.group
    kept.missing = MISSING_CROWDED
    return kept


cdef Py_ssize_t cost(Kept kept) noexcept:
    """Bytes that it holds; its index is counted for itself."""
    return OVERHEAD + size_of(kept.group) + lines_of(kept) + size_of(kept.content) + size_of(kept.text)


cdef Py_ssize_t lines_of(Kept kept) noexcept:
    """Bytes of what may be put into a URL or a header."""
    return size_of(kept.target) + size_of(kept.location) + size_of(kept.entity_id) + size_of(kept.etag)


cdef bytes text_of(Kept kept):
    """Where the places of find() are."""
    return kept.body if kept.text is None else kept.text


cdef str why_missing(Kept kept):
    """Why nothing can be taken out of an answer, for the words "$<id> …": who asks for its values must hear of it
    (GW-03: not that they are null)."""
    if kept.missing == MISSING_FORGOTTEN:
        return "is not kept any more: there were too many answers after it (limits.reference_bytes), or too many are " \
            "kept for other batches (limits.max_reference_bytes_in_process)"
    if kept.missing == MISSING_CROWDED:
        return "is not kept: the answers that calls wait for hold too much (8 times limits.reference_bytes)"
    return "is too large to be kept (1 MiB, 64 KiB for calls that come after its end), or cannot be decoded"


cdef bint all_missing(Kept kept) noexcept:
    """Whether not even the URL is there."""
    return kept.target is None and kept.missing != MISSING_NOT


cdef bytes entity_id_of(Result result):
    """OData-EntityId. Content-Location is of the same kind, but says nothing of what was created."""
    cdef HeaderSlice* header
    cdef int i
    for i in range(result.header_count):
        header = &result.headers[i]
        if header.kind == KIND_ENTITY_ID and header.name_len == 14:
            return PyBytes_FromStringAndSize(header.value, header.value_len)
    return None


cdef bytes plain_body(Result result, Py_ssize_t most):
    """The body without content codings, or None when that is too long or cannot be had."""
    cdef bytes body = PyBytes_FromStringAndSize(result.body, result.body_len)
    if not is_coded(result):
        return None if result.coded else body
    try:
        return decode(codings_of(result), body, most)
    except ValueError:
        return None


cdef bytes url_of(Kept kept, UrlRules rules):
    """The part below the service root that `$<id>` stands for (GW-14), or None."""
    cdef bytes own, said, found
    # A call that the gateway answered itself has no upstream.
    if kept.target is None or kept.base_path is None or not kept.target.startswith(kept.base_path):
        return None
    own = kept.target[len(kept.base_path):]
    if kept.mount is not None:
        own = kept.mount + own
    said = kept.location
    if said is None:
        if kept.method in (b"GET", b"PUT", b"PATCH", b"MERGE"):
            return own.partition(b"?")[0]
        said = kept.entity_id
    if said is not None:
        said = said.partition(b"#")[0]      # RFC 9110 10.2.2: it is for those who show the resource
    if not said:
        return None
    found = rules.locate(said, kept.origin, kept.base_path, own, kept.mount)
    # PL-08: what leads back to the collection is no URL of what was created in it.
    if found is not None and kept.method == b"POST" and same_path(rules.normal(found), rules.normal(own)):
        return None
    return found


cdef bint same_path(bytes found, bytes own) except -1:
    """Whether two URLs lead to one resource, or the first to the service root."""
    if found is None or own is None:
        return False
    found = found.partition(b"?")[0].rstrip(b"/")
    return not found or found == own.partition(b"?")[0].rstrip(b"/")


cdef bytes resource_url(Kept kept, bytes tail, UrlRules rules):
    """The URL of the resource with what follows the reference, checked; None: there is none, or rules.why says why."""
    cdef bytes base = url_of(kept, rules)
    if base is None:
        rules.why = f"it {why_missing(kept)}" if all_missing(kept) else "it has no usable URL"
        return None
    return rules.normal(followed(base, tail))


cdef bytes followed(bytes base, bytes tail):
    """A URL with what follows a reference to it: path by path, and query by query, where what follows counts (PL-08)."""
    cdef bytes path, query, rest, said
    path, _, query = base.partition(b"?")
    rest, _, said = tail.partition(b"?")
    if rest.startswith(b"/"):
        path = path.rstrip(b"/")
    if query and said:
        named = {one.partition(b"=")[0] for one in said.split(b"&")}
        query = b"&".join([one for one in query.split(b"&") if one.partition(b"=")[0] not in named] + [said])
    return path + rest + (b"?" + (query or said) if query or said else b"")


cdef bytes without_mount(bytes url, Kept kept):
    """A part below the root as the upstream of `kept` names it, or None when it does not lie there."""
    if kept.mount is None:
        return url
    return url[len(kept.mount):] if url.startswith(kept.mount) else None


cdef list etag_references(bytes head):
    """The ids in `If-Match: $<id>` and `If-None-Match: $<id>` (ID-09, ID-10: unquoted), or None."""
    if memmem(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), b": $", 3) == NULL:
        return None
    return [name for _, name in _ETAG_REFERENCE.findall(head)] or None


cdef bytes put_etags(bytes head, dict etags):
    """The header lines with the references in them replaced; etags: id -> ETag."""
    return _ETAG_REFERENCE.sub(
        lambda found: found.group(0)[: found.group(0).index(b"$")] + etags[found.group(2)] + b"\r"
        if found.group(2) in etags else found.group(0),
        head,
    )
