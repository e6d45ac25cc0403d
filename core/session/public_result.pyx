"""A result as the client of the batch is to see it: under the batch's own URLs (GW-10), and as its method wants it."""
from batchwire.core.dialects.base cimport describes_absent
from batchwire.core.faults cimport fault
from batchwire.core.methods cimport is_head
from batchwire.core.model cimport (
    Call, HeaderSlice, KIND_CONTENT_TYPE, KIND_ENTITY_ID, KIND_ETAG, KIND_HOP, KIND_LOCATION, KIND_ODATA_VERSION, Result,
)
from batchwire.core.session.result_stream cimport spoil
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)


# Kinds of fields that a message has once, a bit each.
cdef unsigned int ONCE = (1u << KIND_CONTENT_TYPE | 1u << KIND_LOCATION | 1u << KIND_ENTITY_ID | 1u << KIND_ETAG
                          | 1u << KIND_ODATA_VERSION)


cdef list published(Call call, Result result, UrlRules rules):
    try:
        fault("conclude")
        return publish(call, result, rules)
    except Exception as error:
        spoil(result, error)
    return None


cdef list publish(Call call, Result result, UrlRules rules):
    """Rewrites what names the upstream. The owners of what the headers point to then, or None."""
    cdef HeaderSlice* header
    cdef int i
    cdef bytes moved, links
    cdef list owners = None
    cdef Upstream upstream = call.upstream
    if is_head(call.method):
        result.body_owner = None          # CL-03: of an error of the gateway's, too
        result.body = NULL
        result.body_len = 0
    if describes_absent(call, result):
        result.show_length()
    if upstream is None:
        return None
    keep_first(result)
    for i in range(result.header_count):
        header = &result.headers[i]
        if header.kind == KIND_LOCATION or header.kind == KIND_ENTITY_ID:
            moved = rules.public(header.value[:header.value_len], upstream.origin, upstream.base_path, call.mount)
            header.value = PyBytes_AS_STRING(moved)
            header.value_len = <int>PyBytes_GET_SIZE(moved)
            if owners is None:
                owners = []
            owners.append(moved)
    if result.body_owner is not None:
        try:
            links = rules.public_links(result.body, result.body_len, upstream.origin, upstream.base_path, call.mount)
        except ValueError:
            links = None
            result.add_note(b"next links lead to the upstream: there are too many")
        if links is not None:
            result.body_owner = links
            result.body = PyBytes_AS_STRING(links)
            result.body_len = PyBytes_GET_SIZE(links)
            result.drop_digests()
    return owners


cdef int keep_first(Result result) except -1:
    """CL-02: of fields that a message has once, the first one is there, in every dialect."""
    cdef HeaderSlice* header
    cdef HeaderSlice* first
    cdef int i, j
    cdef unsigned int seen = 0
    for i in range(result.header_count):
        header = &result.headers[i]
        if not ONCE >> header.kind & 1:
            continue
        if seen & 1u << header.kind:
            for j in range(i):
                first = &result.headers[j]
                if first.kind == header.kind and first.name_len == header.name_len \
                        and strncasecmp(first.name, header.name, header.name_len) == 0:
                    header.kind = KIND_HOP
                    if first.value_len != header.value_len or memcmp(first.value, header.value, header.value_len) != 0:
                        result.add_note(header.name[:header.name_len].lower() + b" comes with two values; the first counts")
                    break
        seen |= 1u << header.kind
    return 0
