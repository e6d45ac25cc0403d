"""Where a ready call goes: its upstream, what it inherits from the batch, and whether it travels alone.

A group of several goes as one request to an upstream with transactions (GW-04); calls that have nothing to do with
one another may be put into one batch of an upstream that takes them (coalesce). Must never decide whether a call runs.
"""
from batchwire.core.dispatch.bulk_request cimport bulk_request_of, group_request
from batchwire.core.dispatch.dispatcher cimport Dispatcher, Lane
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.methods cimport is_merge
from batchwire.core.model cimport Call, OUTCOME_DEPENDENCY_FAILED, Refusal
from batchwire.core.plan.groups cimport Group, no_transaction
from batchwire.core.plan.urls cimport reference_of
from batchwire.core.route cimport Route
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.base cimport Encoding, PROGRESS_DONE, PROGRESS_ON, Progress
from batchwire.core.upstream.native.members cimport lifted_lines
from cpython.bytes cimport PyBytes_GET_SIZE

from batchwire.core.upstream.native.base import UnfitMember

cdef enum:
    LINES = 262144            # bytes of header lines of calls that are put into one batch in one go (PL-01)


cdef inline Py_ssize_t lines_in(Call call) noexcept:
    """Bytes of header lines of a placed call."""
    return PyBytes_GET_SIZE(call.head) + (0 if call.extra is None else PyBytes_GET_SIZE(call.extra))


cdef class Placement(Dispatcher):
    @staticmethod
    cdef Placement of(Conductor batch, Bounds bounds, double began, double deadline, bint by_number, Route route,
                      Inheritance inheritance):
        """inheritance: what the calls of the batch inherit. The others: see Dispatcher."""
        cdef Placement made = Placement.__new__(Placement)
        made.begin(batch, bounds, began, deadline, by_number)
        made.route = route
        made.inheritance = inheritance
        return made

    cdef bint carry(self, Group group) except -1:
        """A step towards the request that runs a group, the work of one member (PL-01); whether it was the last.

        group.bulk is that request then, or None: its members are refused.
        """
        cdef Call call
        cdef Upstream upstream
        cdef Encoding encoding = group.encoding
        cdef Progress progress
        if group.placed < group.size:
            group.placed += 1
            call = group.members[group.placed - 1]
            if self.place_member(group, call):
                return False
            upstream = (<Call>group.members[0]).upstream
            group.fail_members(no_transaction(None if call.upstream is upstream else "they go to several upstreams"))
            return True
        upstream = (<Call>group.members[0]).upstream
        try:
            if encoding is None:
                group.encoding = encoding = upstream.native.begin(group.members, True, upstream.base_path)
            progress = upstream.native.step(encoding)
            if progress == PROGRESS_ON:
                return False
            if progress == PROGRESS_DONE:
                group.bulk = group_request(group.members, upstream, upstream.native.end(encoding))
            else:
                group.fail_members(no_transaction(encoding.why))
        except UnfitMember as error:
            (<Call>group.members[error.index]).refuse(400, "BadBody", error.message)
            group.fail_members(Refusal(424, "FailedDependency", "another call of the group cannot be run, so none was",
                                       OUTCOME_DEPENDENCY_FAILED))
        group.encoding = None
        return True

    cdef bint place_member(self, Group group, Call call) except -1:
        """Whether the upstream of a member can run it with those before it."""
        cdef Call first = group.members[0]
        if call is first or reference_of(call.target) is None:
            self.place(call)
            return call.upstream.native is not None and call.upstream is first.upstream
        call.mount = first.mount                # it refers to another member, and so goes with it
        self.give_to(call, first.upstream)
        return True

    cdef int place(self, Call call) except -1:
        """Finds the upstream of a ready call, and gives the call what it inherits."""
        cdef Py_ssize_t cut = 0
        cdef Upstream upstream = self.route.upstream_of(call.target, &cut)
        if cut:
            call.mount = call.target[:cut]
        call.target = upstream.base_path + (call.target[cut:] if cut else call.target)
        return self.give_to(call, upstream)

    cdef int give_to(self, Call call, Upstream upstream) except -1:
        cdef Py_ssize_t own = PyBytes_GET_SIZE(call.head)
        call.upstream = upstream
        if is_merge(call.method):
            call.method = upstream.merge_as
        call.extra = self.inheritance.lines_for(call, upstream)
        self.grown += PyBytes_GET_SIZE(call.head) - own
        if not self.inheritance.is_shared(call.extra):
            self.grown += PyBytes_GET_SIZE(call.extra)
        return 0

    cdef Py_ssize_t take_grown(self) noexcept:
        """Bytes by which calls have grown since it was asked last, by what they inherit."""
        cdef Py_ssize_t grown = self.grown
        self.grown = 0
        return grown

    cdef Call next_of(self, Lane lane):
        """One call, or a bulk request of several that are ready and have nothing to do with one another (coalesce)."""
        cdef Upstream upstream = lane.upstream
        cdef Call first = Dispatcher.next_of(self, lane)
        cdef Call call = first
        cdef list members
        cdef bytes lifted
        cdef Py_ssize_t size = call.body_len, lines = lines_in(call)
        if upstream.coalesce < 2 or lane.size == 0 or call.alone or call.members is not None \
                or not upstream.native.mixes(call):
            return call
        lifted = lifted_lines(call)
        if not upstream.native.joins(call, upstream.base_path, lifted):
            return call
        members = [call]
        while len(members) < upstream.coalesce and lane.size and self.may_start(lane):
            call = lane.first()
            # A timeout is that of its call alone, and so it must not end the others of its batch.
            if call.alone or call.members is not None or call.timeout != first.timeout or lines + lines_in(call) > LINES \
                    or size + call.body_len > self.route.limits.max_call_bytes or not upstream.native.mixes(call) \
                    or not upstream.native.joins(call, upstream.base_path, lifted):
                break
            call = Dispatcher.next_of(self, lane)
            size += call.body_len
            lines += lines_in(call)
            members.append(call)
        if len(members) == 1:
            return first
        call = bulk_request_of(members, upstream)
        if call is None:
            call = members.pop(0)               # what cannot be said together is said one by one
        else:
            members = [other for other in members if (<Call>other).alone]
        for other in members:
            self.push(other)
        return call
