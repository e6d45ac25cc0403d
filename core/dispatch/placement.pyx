"""Where a ready call goes: its upstream, what it inherits from the batch, and whether it travels alone.

A group of several goes as one request to an upstream with transactions (GW-04); calls that have nothing to do with
one another may be put into one batch of an upstream that takes them (coalesce). Must never decide whether a call runs.
"""
from batchwire.core.dispatch.carrier cimport carrier_of
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
from batchwire.core.upstream.native.members cimport lifted_lines

from batchwire.core.upstream.native.base import UnfitMember


cdef class Placement(Dispatcher):
    """inheritance: what the calls of the batch inherit. The others: see Dispatcher."""

    def __init__(self, Conductor batch, Bounds bounds, double began, double deadline, bint by_number,
                 Route route not None, Inheritance inheritance not None):
        super().__init__(batch, bounds, began, deadline, by_number)
        self.route = route
        self.inheritance = inheritance

    cdef Call group_carrier(self, Group group):
        """The request that runs a group, or None: then its members are refused."""
        cdef Upstream upstream = None
        cdef Call call, placed = None, carrier = None
        cdef Refusal unfit = no_transaction()
        for call in group.members:
            if reference_of(call.target) is not None:
                continue                        # to another member, and so with it
            self.place(call)
            if call.upstream.native is None or (upstream is not None and call.upstream is not upstream):
                group.fail_members(unfit)
                return None
            upstream = call.upstream
            placed = call
        for call in group.members:
            if call.upstream is None and placed is not None:
                call.upstream = upstream
                call.mount = placed.mount
                if is_merge(call.method):
                    call.method = upstream.merge_as
            if call.upstream is not None:
                self.inherit(call)
        try:
            carrier = carrier_of(group.members, upstream, True)
        except UnfitMember as error:
            (<Call>group.members[error.index]).refuse(400, "BadBody", error.message)
            unfit = Refusal(424, "FailedDependency", "another call of the group cannot be run, so none was",
                            OUTCOME_DEPENDENCY_FAILED)
        if carrier is None:
            group.fail_members(unfit)
        return carrier

    cdef int place(self, Call call) except -1:
        """Finds the upstream of a ready call."""
        cdef Py_ssize_t cut = 0
        cdef Upstream upstream = self.route.upstream_of(call.target, &cut)
        call.upstream = upstream
        if cut:
            call.mount = call.target[:cut]
        call.target = upstream.base_path + (call.target[cut:] if cut else call.target)
        if is_merge(call.method):
            call.method = upstream.merge_as
        return 0

    cdef int inherit(self, Call call) except -1:
        """Gives a call what it inherits: when it starts, since those that only wait should not hold it."""
        if call.extra is None and call.members is None:
            call.extra = self.inheritance.lines_for(call, call.upstream)
        return 0

    cdef Call next_of(self, Lane lane):
        """One call, or a carrier of several that are ready and have nothing to do with one another (coalesce)."""
        cdef Upstream upstream = lane.upstream
        cdef Call first = Dispatcher.next_of(self, lane)
        cdef Call call = first
        cdef list members
        cdef bytes lifted
        cdef Py_ssize_t size = call.body_len
        self.inherit(call)
        if upstream.coalesce < 2 or lane.size == 0 or call.alone or call.members is not None \
                or not upstream.native.mixes(call):
            return call
        lifted = lifted_lines(call)
        if not upstream.native.joins(call, upstream.base_path, lifted):
            return call
        members = [call]
        while len(members) < upstream.coalesce and lane.size and self.may_start(lane):
            call = lane.first()
            self.inherit(call)
            # A timeout is that of its call alone, and so it must not end the others of its batch.
            if call.alone or call.members is not None or call.timeout != first.timeout \
                    or size + call.body_len > self.route.limits.max_call_bytes or not upstream.native.mixes(call) \
                    or not upstream.native.joins(call, upstream.base_path, lifted):
                break
            call = Dispatcher.next_of(self, lane)
            size += call.body_len
            members.append(call)
        if len(members) == 1:
            return first
        call = carrier_of(members, upstream, False)
        if call is None:
            call = members.pop(0)               # what cannot be said together is said one by one
        else:
            members = [other for other in members if (<Call>other).alone]
        for other in members:
            self.push(other)
        return call
