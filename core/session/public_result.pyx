"""A result as the client of the batch is to see it: under the batch's own URLs (GW-10), and as its method wants it."""
from batchwire.core.dialects.base cimport describes_absent
from batchwire.core.faults cimport fault
from batchwire.core.methods cimport is_head
from batchwire.core.model cimport Call, HeaderSlice, KIND_ENTITY_ID, KIND_LOCATION, Result
from batchwire.core.session.result_stream cimport spoil
from batchwire.core.upstream.base cimport Upstream
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


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
