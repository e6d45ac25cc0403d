"""Looks a batch document over without running it: for `batchwire check`. Must never start a call."""
from batchwire.core.dialects.base cimport Reader
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.errors import EnvelopeError, quoted
from batchwire.core.model cimport Call
from batchwire.core.plan.order cimport NOT_EVALUABLE, Plan
from batchwire.core.plan.urls cimport UrlRules


def check_document(bytes data not None, str root="/", Limits limits=None, bint strict=False, authority=None):
    """What is wrong with a JSON batch document, and where.

    Returns a list of dicts: target ("requests[3]" with its id, or a place in the envelope), status, code,
    message; an empty list when every call could start. An error of the envelope is the last entry, because
    nothing behind it can be read (GW-01); the others are those of single calls (GW-02).
    """
    cdef Reader reader
    cdef Plan plan
    cdef Call call
    cdef list found = []
    if limits is None:
        limits = Limits()
    reader = JsonReader(
        limits.max_call_bytes, limits.max_depth, limits.max_header_bytes, integer_ids=not strict)
    plan = Plan(UrlRules(root.encode(), authority, strict), limits.reference_bytes, limits.max_call_bytes, limits.max_depth)
    reader.feed(data)
    reader.finish()
    calls = []
    try:
        while True:
            call = reader.next_call()
            if call is None:
                break
            plan.admit(call)
            calls.append(call)
        plan.end_of_calls()
    except EnvelopeError as error:
        found.append({"target": error.target, "status": error.status, "code": error.code, "message": error.message})
    places = []
    for call in calls:
        target = f"requests[{call.number}] ({quoted(call.id)})"
        if call.refusal is not None:
            places.append({"target": target, "status": call.refusal.status, "code": call.refusal.code,
                           "message": call.refusal.message})
        elif call.flags & NOT_EVALUABLE:
            places.append({"target": target, "status": 424, "code": "FailedDependency",
                           "message": "the condition cannot be evaluated"})
    return places + found
