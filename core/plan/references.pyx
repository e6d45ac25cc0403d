"""What calls may take from the calls they depend on: a URL, an ETag, values for conditions.

Rules ID-05..ID-10, GW-14. References are resolved by looking values up, never by evaluating anything
(background: CVE-2014-7205). What is kept for calls still to come is bounded: the oldest goes first.
"""
from batchwire.core.model cimport Call, HeaderSlice, KIND_CONTENT_TYPE, KIND_ETAG, KIND_LOCATION, Result
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import json
import re
from collections import deque

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

cdef enum:
    MAX_BODY = 1 << 20          # a larger answer cannot be referred to by its values
    MAX_BODY_FOR_LATER = 65536
    OVERHEAD = 256              # what a Kept costs beside its bytes

_ETAG_REFERENCE = re.compile(rb"(?:^|\n)(if-match|if-none-match): \$([A-Za-z0-9._~-]+)\r", re.IGNORECASE)
_BODY_REFERENCE = re.compile(rb'"\$([A-Za-z0-9._~-]+)(?:/[^"]*)?"')
_QUERY_REFERENCE = re.compile(rb"(?:(?<![A-Za-z0-9._~-])|(?<=%[0-9A-Fa-f]{2}))\$([A-Za-z0-9._~-]+)")


cdef class Kept:
    pass


cdef class References:
    """budget: bytes that may be kept for calls that have not been read yet."""

    def __init__(self, Py_ssize_t budget):
        self.kept = {}
        self.order = deque()
        self.budget = budget

    cdef Kept keep(self, Call call, Result result, bint for_later):
        cdef Kept kept = Kept.__new__(Kept)
        cdef Upstream upstream = call.upstream
        cdef HeaderSlice* header
        cdef Kept oldest
        cdef Py_ssize_t most = MAX_BODY_FOR_LATER if for_later else MAX_BODY
        kept.status = result.status
        kept.method = call.method
        kept.target = call.target
        if upstream is not None:
            kept.origin = upstream.origin
            kept.base_path = upstream.base_path
        header = result.find(KIND_LOCATION)
        if header != NULL:
            kept.location = PyBytes_FromStringAndSize(header.value, header.value_len)
        header = result.find(KIND_ETAG)
        if header != NULL:
            kept.etag = PyBytes_FromStringAndSize(header.value, header.value_len)
        if result.body_owner is not None and result.body_len <= most:
            header = result.find(KIND_CONTENT_TYPE)
            if header != NULL and memmem(header.value, header.value_len, b"json", 4) != NULL:
                kept.body = PyBytes_FromStringAndSize(result.body, result.body_len)
        if for_later:
            self.kept[call.id] = kept
            self.order.append(call.id)
            self.held += self.cost(kept)
            while self.held > self.budget and self.order:
                oldest = self.kept.pop(self.order.popleft())
                self.held -= self.cost(oldest)
        return kept

    def cost(self, Kept kept):
        return OVERHEAD + len(kept.target or b"") + len(kept.location or b"") + len(kept.body or b"")

    cdef Kept get(self, bytes name):
        return self.kept.get(name)


cdef bytes url_of(Kept kept, UrlRules rules):
    """The part below the service root that `$<id>` stands for (GW-14), or None."""
    cdef bytes own
    if kept.target is None or not kept.target.startswith(kept.base_path):
        return None
    own = kept.target[len(kept.base_path):]
    if kept.location is not None:
        return rules.locate(kept.location, kept.origin, kept.base_path, own)
    if kept.method in (b"GET", b"PUT", b"PATCH"):
        return own.partition(b"?")[0]
    return None


cdef bytes etag_of(Kept kept):
    """The complete ETag, W/ and quotes included: of the header, else of the body (GW-14), or None."""
    if kept.etag is not None:
        return kept.etag
    if kept.body is not None:
        try:
            value = json.loads(kept.body)
        except ValueError:
            return None
        if isinstance(value, dict):
            found = value.get("@etag", value.get("@odata.etag"))
            if isinstance(found, str):
                return found.encode()
    return None


cdef bytes etag_reference(bytes head):
    """The id in `If-Match: $<id>` or `If-None-Match: $<id>` (ID-09, ID-10: unquoted), or None."""
    if memmem(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), b": $", 3) == NULL:
        return None
    found = _ETAG_REFERENCE.search(head)
    return None if found is None else found.group(2)


cdef bytes put_etag(bytes head, bytes name, bytes etag):
    """The header lines with the references to `name` replaced."""
    return _ETAG_REFERENCE.sub(
        lambda found: found.group(0)[: found.group(0).index(b"$")] + etag + b"\r" if found.group(2) == name
        else found.group(0),
        head,
    )


cdef bytes unsupported_reference(Call call, bytes rest):
    """The id of a dependency that the body or the query refers to (ID-11, ID-12), which is not offered.

    Only names in depends_on count: a `$100` in somebody's text is text.
    """
    if call.depends_on is None:
        return None
    if call.body_owner is not None and memmem(call.body_ptr, call.body_len, b'"$', 2) != NULL:
        for found in _BODY_REFERENCE.finditer(call.body_ptr[:call.body_len]):
            if found.group(1) in call.depends_on:
                return found.group(1)
    query = rest.partition(b"?")[2]
    if b"$" in query:
        for option in query.split(b"&"):
            for found in _QUERY_REFERENCE.finditer(option.partition(b"=")[2]):
                # ID-13: predefined names win over ids.
                if found.group(1) in call.depends_on and found.group(1) not in (b"it", b"root", b"this"):
                    return found.group(1)
    return None
