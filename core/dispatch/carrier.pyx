"""One request that carries several calls to an upstream that takes batches itself (GW-04 b).

To dispatcher and upstream the carrier is a call like any other; its result is taken apart into those of its
members. Must never carry calls of two batches, nor a group beside anything else.
"""
from batchwire.core.model cimport Call, Result
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.base cimport NativeBatch
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef Call carrier_of(list members, Upstream upstream, bint atomic):
    """The carrier of ready calls of one upstream. None: such calls cannot be said together. Raises UnfitMember."""
    cdef Call carrier = Call.__new__(Call)
    cdef Call call
    cdef NativeBatch batch
    if not upstream.native.fits(members, atomic, upstream.base_path):
        return None
    batch = upstream.native.encode(members, atomic, upstream.base_path)
    carrier.method = b"POST"
    carrier.upstream = upstream
    carrier.target = upstream.base_path + b"$batch"
    carrier.head = batch.head
    carrier.set_body(batch.body, PyBytes_AS_STRING(batch.body), PyBytes_GET_SIZE(batch.body))
    carrier.members = members
    carrier.group_size = <int>len(members) if atomic else 0
    carrier.number = (<Call>members[0]).number
    for call in members:
        if call.timeout > 0 and (carrier.timeout == 0 or call.timeout < carrier.timeout):
            carrier.timeout = call.timeout
        if call.number < carrier.number:
            carrier.number = call.number
    return carrier


cdef list taken_apart(Call carrier, Result answer):
    """One Result for each member, in their order."""
    cdef Upstream upstream = carrier.upstream
    cdef Result result
    cdef list found = upstream.native.decode(answer, carrier.members, carrier.group_size > 0)
    for result in found:
        result.started_us = answer.started_us
        result.elapsed_us = answer.elapsed_us
    return found
