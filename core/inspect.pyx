"""Looks a batch document over without running it: for `batchwire check`. Must never start a call."""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dialects.table cimport reader_of
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.errors import EnvelopeError, quoted
from batchwire.core.model cimport Call
from batchwire.core.plan.filler cimport leave_to_upstream
from batchwire.core.plan.groups cimport no_transaction
from batchwire.core.plan.judge cimport why_not
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.plan_flags cimport NOT_EVALUABLE
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead
from batchwire.core.upstream.base cimport Upstream


def check_document(bytes data not None, Route route not None, *, bint strict=False, authority=None):
    """What is wrong with a JSON batch document for a route, and where, in the words of a session.

    strict, authority: see BatchHead. An Authorization inside a call is taken for that of the batch, which is not known.
    Returns a list of dicts: target ("requests[3]" with its id, or a place in the envelope), status, code,
    message; an empty list when every call could start. An error of the envelope is the last entry, because
    nothing behind it can be read (GW-01); the others are those of single calls (GW-02).
    """
    cdef Limits limits = route.limits
    cdef str inner = "drop" if route.inner_authorization == "same" else route.inner_authorization
    cdef Reader reader = reader_of(BatchHead(strict=strict), limits, route.header_rules, inner)
    cdef Plan plan = Plan.of(
        UrlRules(route.root, authority, strict, route.prefixes, route.bare_batch), limits.reference_bytes,
        limits.max_call_bytes, limits.max_depth, reader.sequential, route.transactional, limits.max_group_calls,
        limits.max_header_bytes, limits.max_reference_bytes_in_process, reader.result_of,
        reader.plain)
    cdef Call call
    cdef list calls = [], found = [], envelope = []
    try:
        if limits.max_request_bytes and len(data) > <Py_ssize_t>limits.max_request_bytes:
            raise limits.batch_too_large()
        reader.feed(data)
        reader.finish()
        while True:
            call = reader.next_call()
            if call is None:
                break
            if limits.max_calls and reader.calls > limits.max_calls:
                raise limits.too_many_calls()
            while not reader.read_on(call):
                pass
            limits.refuse_long_url(call)
            plan.enter(call)
            calls.append(call)
        plan.end_of_calls()
    except EnvelopeError as error:
        envelope.append({"target": error.target, "status": error.status, "code": error.code, "message": error.message})
    if plan.collecting:
        judge_groups(calls, route)
    for call in calls:
        target = f"requests[{call.number}] ({quoted(call.id)})"
        if call.refusal is not None:
            found.append({"target": target, "status": call.refusal.status, "code": call.refusal.code,
                          "message": call.refusal.message})
        elif call.flags & NOT_EVALUABLE:
            found.append({"target": target, "status": 424, "code": "FailedDependency",
                          "message": why_not(call, plan.index, plan.references)})
    return found + envelope


cdef int judge_groups(list calls, Route route) except -1:
    """What keeps groups of several from running as one that a plan finds no sooner than when it decides them."""
    cdef dict groups = {}
    cdef list members
    cdef Call call
    cdef set ids
    for call in calls:
        if call.group is not None:
            groups.setdefault(call.group, []).append(call)
    for members in groups.values():
        if len(members) == 1 or any([(<Call>call).refusal is not None for call in members]):
            continue
        ids = {call.id for call in members}
        for call in members:
            if call.values is not None:
                leave_to_upstream(call, ids)
        if not of_one_upstream(members, route):
            for call in members:
                if call.refusal is None:
                    call.refusal = no_transaction()
    return 0


cdef bint of_one_upstream(list members, Route route) except -1:
    """Whether all members are for one upstream, which takes batches; those that refer to another one go with it."""
    cdef Upstream first = None, upstream
    cdef Call call
    cdef Py_ssize_t cut = 0
    for call in members:
        if reference_of(call.target) is None:
            upstream = route.upstream_of(call.target, &cut)
            if upstream.native is None or (first is not None and upstream is not first):
                return False
            first = upstream
    return True
