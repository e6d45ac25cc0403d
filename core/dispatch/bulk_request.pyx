"""One request that carries several calls to an upstream that takes batches itself (GW-04 b).

To dispatcher and upstream the bulk request is a call like any other; its result is taken apart into those of its
members. Must never carry calls of two batches, nor a group beside anything else.
"""
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.methods cimport is_get
from batchwire.core.model cimport CARRIED, Call, Result
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.base cimport NativeBatch
from batchwire.core.upstream.native.members cimport lifted_lines
from batchwire.core.upstream.native.outcomes cimport bad_answer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import re

cdef str TOO_LARGE = "the upstream's answer to the calls that travelled together is larger than allowed (max_response_bytes): how this one ended is not known"
_LINK = re.compile(rb"(?!//)(?:(?!/\.\.?(?:/|\?|$))[!-~])+")              # no dot segments, nothing that ends a line


cdef Call bulk_request_of(list members, Upstream upstream):
    """The bulk request of ready calls that have nothing to do with one another. None: such calls cannot be said together.

    Those that cannot be said in the form are marked to travel alone.
    """
    cdef Call call
    cdef NativeBatch batch = upstream.native.encode(members, False, upstream.base_path)
    if batch.left_out:
        for error in batch.left_out:
            call = members[error.index]
            call.alone = True
        members = [call for call in members if not (<Call>call).alone]
        if len(members) < 2:
            return None
    return posting(members, upstream, batch)


cdef Call group_request(list members, Upstream upstream, NativeBatch batch):
    """The bulk request of a group, which the batch says."""
    cdef Call call = posting(members, upstream, batch)
    call.group_size = <int>len(members)
    return call


cdef Call posting(list members, Upstream upstream, NativeBatch batch):
    cdef Call call = request_for(members, upstream, b"POST", upstream.base_path + b"$batch", batch.head)
    call.set_body(batch.body, PyBytes_AS_STRING(batch.body), PyBytes_GET_SIZE(batch.body))
    return call


cdef Call request_for(list members, Upstream upstream, bytes method, bytes target, bytes head):
    cdef Call bulk = Call.__new__(Call)
    cdef Call call
    bulk.method = method
    bulk.upstream = upstream
    bulk.target = target
    bulk.head = head
    bulk.members = members
    bulk.number = (<Call>members[0]).number
    for call in members:
        if call.timeout > 0 and (bulk.timeout == 0 or call.timeout < bulk.timeout):
            bulk.timeout = call.timeout
        if call.number < bulk.number:
            bulk.number = call.number
    return bulk


cdef list in_pieces(Call bulk, Result answer):
    """What is to be started before members of the bulk request have results, or None. bulk.members: the others, then."""
    cdef Upstream upstream = bulk.upstream
    cdef Call call, more
    cdef list again, pieces
    cdef Py_ssize_t half
    if bulk.group_size or bulk.gathered is not None or not (answer.status == 413 or answer.oversized):
        return None
    # BU-08. A batch that is too large to be read was not run; one whose answer is too large was, and a second time
    # anything but a GET would be told what the first time has made of it.
    again = [call for call in bulk.members if not answer.oversized or is_get((<Call>call).method)]
    if not again:
        return None
    bulk.members = [call for call in bulk.members if answer.oversized and not is_get((<Call>call).method)]
    if answer.oversized:
        for call in again:
            call.started = bulk.started      # whatever stops the batch now, the call has been run
    half = (len(again) + 1) // 2
    pieces = []
    for part in (again[:half], again[half:]):
        more = bulk_request_of(part, upstream) if len(part) > 1 else None
        if more is not None:
            part = [call for call in part if (<Call>call).alone]
            pieces.append(more)
        for call in part:
            (<Call>call).alone = True
            pieces.append(call)
    return pieces


cdef Steps reading_of(Call bulk, Result answer):
    """The steps in reading its answer, or None."""
    cdef Upstream upstream = bulk.upstream
    return upstream.native.reading(answer, len(bulk.members))


cdef Call continued(Call bulk, Result answer, Steps reading):
    """BU-07: the request for the rest of an answer that goes on elsewhere (@nextLink), or None.

    It carries the same members, whose requests have been sent: it is no call that a stop could still hold back.
    """
    cdef Upstream upstream = bulk.upstream
    cdef bytes link = upstream.native.more_at(answer, reading)
    cdef Call more
    cdef list known
    if link is None:
        return None
    if link.startswith(upstream.origin + b"/"):
        link = link[len(upstream.origin):]
    elif b"//" in link[:link.find(b"?")]:
        return None                             # of another server: nothing of this client is for it
    elif not link.startswith(b"/"):
        link = upstream.base_path + link
    if _LINK.fullmatch(link) is None or not link.startswith(upstream.base_path):
        return None
    known = upstream.native.gather(bulk.members, bulk.gathered, reading)
    # Each answer must say something new, so that there is an end to it; and their bytes are bounded.
    if known.count(None) >= (len(known) if bulk.gathered is None else bulk.gathered.count(None)) \
            or not known.count(None) \
            or sum([(<Result>result).body_len for result in known if result is not None]) > CARRIED * upstream.max_response_bytes:
        return None
    more = request_for(bulk.members, upstream, b"GET", link, b"Accept: application/json\r\n" + lifted_lines(bulk.members[0]))
    more.group_size = bulk.group_size
    more.gathered = known
    return more


cdef list split_answer(Call bulk, Result answer, Steps reading):
    """One Result for each member, in their order."""
    cdef Upstream upstream = bulk.upstream
    cdef Result result
    cdef list found
    if answer.oversized and bulk.gathered is None:
        found = bad_answer(len(bulk.members), TOO_LARGE)
    else:
        found = upstream.native.decode(answer, bulk.members, bulk.group_size > 0, bulk.gathered, reading)
    for result in found:
        result.started_us = answer.started_us
        result.elapsed_us = answer.elapsed_us
    return found
