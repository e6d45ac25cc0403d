"""What each member's result is, once the upstream's answer has been taken apart.

One place for both forms: a group that failed anywhere failed everywhere (JR-12), an answer that is missing is a
failure of the upstream, a batch that was refused as a whole fails every member. Must never call a member of a
failed group a success, whatever the upstream said of it before it rolled back.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.dialects.plain_body cimport make_plain
from batchwire.core.model cimport (
    Call,
    HeaderSlice,
    KIND_CONTENT_TYPE,
    OUTCOME_DEPENDENCY_FAILED,
    OUTCOME_FAILED,
    OUTCOME_SUCCEEDED,
    OUTCOME_TIMED_OUT,
    OUTCOME_UNREACHABLE,
    Result,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy

import json
import re


cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

_CONTENT_ID = re.compile(rb'("@(?:Org\.OData\.)?Core\.ContentID"[ \t\r\n]*:[ \t\r\n]*")([0-9]+)"')
# Said of the client, of the size or of the load, and so as true for each member as for the batch (BU-06). What is said
# of the request as such (400, 404, 405, 415, 500, 504) would be taken for a word about what the member is for.
cdef frozenset SHARED = frozenset([401, 402, 403, 408, 413, 421, 423, 425, 429, 431, 451, 502, 503, 507, 509, 511])
cdef enum:
    QUOTED = 100              # characters of an upstream's error message
    MAX_ERROR = 65536         # bytes of one that is looked at


cdef Result copied(Result result):
    cdef Result copy = Result()
    copy.reset()
    copy.status = result.status
    copy.outcome = result.outcome
    copy.header_count = result.header_count
    memcpy(copy.headers, result.headers, sizeof(HeaderSlice) * result.header_count)
    copy.head_owner = result.head_owner
    copy.body_owner = result.body_owner
    copy.body = result.body
    copy.body_len = result.body_len
    return copy


cdef Result broken(str message):
    cdef Result result = Result()
    result.reset()
    result.set_error(502, OUTCOME_UNREACHABLE, "BadUpstreamAnswer", message)
    return result


cdef list bad_answer(Py_ssize_t count, str message):
    return [broken(message) for _ in range(count)]


cdef list refused_batch(Result answer, Py_ssize_t count):
    """Results when the batch as a whole was not taken, or never reached the upstream."""
    if 200 <= answer.status < 300:
        return None
    if answer.outcome == OUTCOME_UNREACHABLE or answer.outcome == OUTCOME_TIMED_OUT or answer.status in SHARED:
        if answer.outcome == OUTCOME_SUCCEEDED:
            answer.outcome = OUTCOME_FAILED
        return [copied(answer) for _ in range(count)]
    return bad_answer(count, f"the upstream answered the batch with status {answer.status}{words_of(answer)}")


cdef str words_of(Result answer):
    """The beginning of what an OData error says, for a sentence that goes on with it; or nothing."""
    cdef bytes body = None
    cdef HeaderSlice* media = answer.find(KIND_CONTENT_TYPE)
    if answer.body_owner is not None and answer.body_len <= MAX_ERROR and media != NULL \
            and media_kind(media.value, media.value_len) == MEDIA_JSON:
        body = whole_body(answer, MAX_ERROR)
    try:
        said = json.loads(body)["error"]["message"] if body else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if not isinstance(said, str) or not said:
        return ""
    # A lone half of a surrogate pair cannot be said in UTF-8.
    return ": " + said[:QUOTED].encode("utf-8", "replace").decode()


cdef bytes whole_body(Result answer, Py_ssize_t limit):
    if answer.body_owner is None:
        return None
    if not make_plain(None, answer, limit):
        return None
    return answer.body[:answer.body_len]


cdef Py_ssize_t member_index(bytes name, Py_ssize_t count) except -2:
    """The place of the member that has this id in the upstream's batch, or -1."""
    cdef Py_ssize_t number
    if not name or len(name) > 18 or not name.isdigit() or name[:1] == b"0":
        return -1
    number = int(name)
    return number - 1 if number <= count else -1


cdef int name_member(Result result, list members) except -1:
    """An error body may name the member that failed: by our id, which would mean nothing or another call there."""
    cdef bytes body
    cdef Call call
    cdef list pieces = []
    cdef Py_ssize_t index, done = 0
    if result.body_owner is None or memmem(result.body, result.body_len, b"Core.ContentID", 14) == NULL:
        return 0

    body = result.body[:result.body_len]
    for said in _CONTENT_ID.finditer(body):
        index = member_index(said.group(2), len(members))
        if index >= 0:
            call = members[index]
            pieces.append(body[done:said.start(2)])
            pieces.append(call.id)                        # ID-03: nothing in an id needs an escape
            done = said.end(2)
    pieces.append(body[done:])
    body = b"".join(pieces)
    result.body_owner = body
    result.body = PyBytes_AS_STRING(body)
    result.body_len = PyBytes_GET_SIZE(body)
    return 0


cdef list settled(list found, list members, bint atomic, Py_ssize_t limit):
    """found: for each member its Result, or None when the answer has none that can be read."""
    cdef Py_ssize_t i
    cdef Result result
    cdef bint failed = False, missing = False
    for i in range(len(found)):
        result = found[i]
        if result is not None and limit and result.body_len > limit:
            # BU-08: of calls that travel together each has its own bound.
            if atomic or is_read(members[i], result):
                found[i] = None if atomic else broken("the upstream's answer to this call is larger than allowed")
            else:
                # AN-03: it has been run, and its status is known.
                result.body_owner = None
                result.body = NULL
                result.body_len = 0
                result.body_left_out = True
                result.add_note(b"body left out: its answer is larger than allowed")
    for result in found:
        if result is None:
            missing = True
        else:
            failed = failed or result.status >= 400
            if result.outcome != OUTCOME_UNREACHABLE:
                result.outcome = OUTCOME_SUCCEEDED if 200 <= result.status < 300 else OUTCOME_FAILED
            if result.status >= 400:
                name_member(result, members)
    for i in range(len(found)):
        result = found[i]
        if atomic and failed:
            if result is None or result.status < 400:
                result = Result()
                result.reset()
                result.set_error(424, OUTCOME_DEPENDENCY_FAILED, "FailedDependency",
                                 "another call of the atomicity group failed, and so has the group")
                found[i] = result
        elif atomic and missing:
            # Whether the upstream applied the group cannot be told, so no member may pass for a success.
            found[i] = broken("the upstream's answer does not say how the whole atomicity group ended")
        elif result is None:
            found[i] = broken("the upstream's answer has no readable result for this call")
    return found
