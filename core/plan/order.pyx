"""What waits for what: admits calls in document order, decides each when all it waits for has finished.

Rules JB-13..JB-19, JP-01..JP-03, MP-01, MP-04, ID-02, ID-11..ID-13, GW-02..GW-04, GW-14, GW-16, GW-18, GW-20. State of a
finished call is its entry in the index and, within a budget, what references need. Must never start a call: a
decided call is either refused (call.refusal says how) or ready, and the dispatcher takes it from there.
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.dialects.identifiers cimport MAX_ID
from batchwire.core.errors import EnvelopeError, quoted
from batchwire.core.methods cimport only_reads
from batchwire.core.model cimport (
    CALL_DONE, CALL_READY, CALL_WAITING, Call, CallQueue, OUTCOME_DEPENDENCY_FAILED, OUTCOME_UNREACHABLE, Refusal,
    Result,
)
from batchwire.core.plan.conditions cimport MAX_PARSED, Expression, parse
from batchwire.core.plan.conditions import ConditionError
from batchwire.core.plan.filler cimport Filler, filled_bytes, leave_to_upstream, most_filled
from batchwire.core.plan.groups cimport Group, no_transaction
from batchwire.core.plan.index cimport (
    CallIndex, FOUND_CALL, FOUND_DONE_CALL, FOUND_DONE_GROUP, FOUND_GROUP, FOUND_NOTHING,
)
from batchwire.core.plan.judge cimport judge
from batchwire.core.plan.plan_flags cimport (
    DEAR, DECIDED, DEPENDENCY_FAILED, ETAG_REFERENCE, IN_LINE, NAMES_GROUP, NOT_EVALUABLE, URL_REFERENCE, WANTS_BYTES, WANTS_VALUES,
)
from batchwire.core.plan.references cimport Kept, References, etag_references
from batchwire.core.plan.result_of cimport result_of_ids
from batchwire.core.plan.sequence cimport Sequence
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.plan.value_finder cimport (
    AS_JSON, MAX_PATH, MAX_REFERENCES, MAX_TAIL, BodyScan, Reference, body_may_refer, query_may_refer, scan_body,
)
from batchwire.core.plan.value_finder import query_references
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport uint32_t

cdef enum:
    FEW = 16                  # names in dependsOn that may be there twice
    PIECE = 65536             # bytes of a body that are searched in one go
    CANDIDATE = 256           # bytes of a body that take as long as a string that looks like a reference
    LONG = 2048               # bytes of a URL and headers that are no trifle to go through

cdef Refusal NOT_REPEATED = Refusal(
    502, "BadUpstreamAnswer", "the upstream's answer to the calls that travelled together is larger than allowed (max_response_bytes), "
    "and the batch ended before this one could be sent again", OUTCOME_UNREACHABLE)


cdef class Plan:
    """
    max_body: bytes of a call's body after references are filled in, and of all that is filled in of a collected group.
    max_line: bytes of a call's URL, and of its header lines, after references are filled in.
    reference_bytes, process_reference_bytes: see References.
    sequential: calls and groups run one after the other (MP-01). collecting: groups are held until all their
    members may run as one, at most max_group of them; without, no upstream could run one (GW-04 c), and members
    are refused as they come.
    """

    def __init__(self, UrlRules rules not None, Py_ssize_t reference_bytes, Py_ssize_t max_body=16 << 20,
                 int max_depth=64, bint sequential=False, bint collecting=False, int max_group=1000,
                 Py_ssize_t max_line=32768, Py_ssize_t process_reference_bytes=64 << 20):
        self.rules = rules
        self.max_body = max_body
        self.max_depth = max_depth
        self.max_line = max_line
        self.index = CallIndex()
        self.references = References(reference_bytes, process_reference_bytes)
        self.decided = CallQueue()
        self.waiting = {}
        self.input_open = True
        self.sequence = Sequence() if sequential else None
        self.collecting = collecting or sequential
        self.max_group = max_group

    # --- a call comes in

    cdef bint admit(self, Call call) except -1:
        """Takes the next call. It is then among `decided`, or waits; false: its body is long, and search_on() has to be
        called before it is. EnvelopeError: the batch is broken.
        """
        cdef bytes name, rest, reference
        cdef list names
        cdef Reference found
        call.number = self.admitted
        self.enter_group(call)
        if call.id and self.index.insert(call.id, call, False):
            raise EnvelopeError(400, "DuplicateId", f"the id {quoted(call.id)!r} is used twice",
                                f"requests[{call.number}].id")
        if PyBytes_GET_SIZE(call.id) > MAX_ID:
            call.refuse(400, "IdTooLong", f"an id must not have more than {MAX_ID} bytes")
        self.admitted += 1
        call.state = CALL_WAITING
        if self.verdict is not None:
            call.refusal = self.verdict
            call.waiting = 0
            self.put_decided(call)
            return True
        if self.sequence is not None and call.group is None:
            call.flags |= IN_LINE
            if not self.sequence.join(call):
                call.waiting += 1
        if call.refusal is None:
            rest = self.rules.relative(call.url)
            if PyBytes_GET_SIZE(call.url) == 0 and not call.empty_set and not only_reads(call.method):
                # GB-03: one that was forgotten must not write to the service root, which can be said as a path.
                call.refuse(400, "BadUrl", f"a {call.method.decode()} must have a URL")
            elif rest is None:
                call.refuse(400, "BadUrl", self.rules.why)
            else:
                reference = None if self.plain else reference_of(rest)
                if reference is not None:
                    call.flags |= URL_REFERENCE
                    call.target = rest
                    self.depend(call, reference, False)
                else:
                    call.target = self.rules.normal(rest)
                    if call.target is None:
                        call.refuse(400, "BadUrl", self.rules.why)
        if call.refusal is None:
            names = None if self.plain else etag_references(call.head)
            if names is not None:
                call.flags |= ETAG_REFERENCE
                if len(names) > MAX_REFERENCES:
                    call.refuse(400, "TooManyReferences",
                                f"a call must not have more than {MAX_REFERENCES} references")
                for name in names:
                    self.depend(call, name, False)
            if call.depends_on is not None:
                if len(call.depends_on) > FEW:
                    call.depends_on = list(dict.fromkeys(call.depends_on))
                for name in call.depends_on:
                    self.depend(call, name, True)
                    if call.refusal is not None:
                        break
            if call.refusal is None and not self.plain and query_may_refer(call.target):
                for found in query_references(call.target):
                    self.admit_value(call, found)
                    if call.refusal is not None:
                        break
            if call.refusal is None and not self.plain and body_may_refer(call):
                self.search = scan_body(call, frozenset(call.depends_on) if call.depends_on else None,
                                        self.names_groups(call))
                call.waiting += 1           # for the search: nobody else decides the call before its end
                return self.search_on(PIECE)
        self.admitted_whole(call)
        return True

    cdef bint names_groups(self, Call call) noexcept:
        """Whether values of calls may be meant whose ids are not in dependsOn: of a group that it names, or its own."""
        return call.flags & NAMES_GROUP != 0 or (call.group_state is not None and self.sequence is None)

    cdef bint may_ask(self, Call call, bytes name) except -1:
        """PL-04: whether the text `$<name>/path` in the body of a call stands for a value of that name."""
        cdef frozenset names = self.search.names
        cdef int found
        cdef object pending
        cdef bytes group = None
        cdef Kept kept
        if names is not None and name in names:
            return True
        found = self.index.find(name)
        pending = self.index.found
        self.index.found = None
        if found == FOUND_CALL:
            group = (<Call>pending).group
            if group is not None and group == call.group:
                return True                 # it is refused, for only the upstream knows the value
        elif found == FOUND_DONE_CALL:
            kept = self.references.get(name)
            if kept is self.references.forgotten:
                return call.flags & NAMES_GROUP != 0     # it may have been of that group: it is asked for, and refused
            group = kept.group
        return group is not None and names is not None and group in names

    cdef bint search_on(self, Py_ssize_t most) except -1:
        """Searches so many bytes of the newest call's body for references; whether the call has been admitted."""
        cdef BodyScan search = self.search
        cdef Call call = search.call
        cdef Reference found
        while most > 0 and call.refusal is None and not search.over():
            if search.step(PIECE):
                found = search.next()
                while found is not None:
                    most -= CANDIDATE
                    self.admit_value(call, found)
                    if call.refusal is not None:
                        break
                    found = search.next()
            most -= PIECE
        if call.refusal is None and not search.over():
            return False
        self.search = None
        call.waiting -= 1
        self.admitted_whole(call)
        return True

    cdef int admitted_whole(self, Call call) except -1:
        """All is known that the call names; it waits, or is decided."""
        if call.refusal is None and self.result_of:
            for name in result_of_ids(call):
                call.flags |= WANTS_BYTES
                self.depend(call, name, False)
        if call.condition is not None and call.refusal is None:
            self.admit_condition(call)
        if call.values is not None or call.flags & (WANTS_BYTES | URL_REFERENCE | ETAG_REFERENCE) \
                or PyBytes_GET_SIZE(call.url) + PyBytes_GET_SIZE(call.head) > LONG or (
                call.condition is not None and PyBytes_GET_SIZE(call.condition) > MAX_PARSED):
            call.flags |= DEAR
        if call.refusal is not None:
            # What is refused waits for no dependency, but it keeps its place.
            call.waiting = 0
            if call.group_state is not None and (<Group>call.group_state).members is not None:
                call.waiting = 1
            elif call.flags & IN_LINE and self.sequence.line[0] is not call:
                call.waiting = 1
        if call.waiting == 0:
            self.put_decided(call)
        else:
            self.waiting[call] = None
        return 0

    def admit_condition(self, Call call):
        cdef Expression expression
        try:
            expression = parse(call.condition)
        except ConditionError:
            call.flags |= NOT_EVALUABLE
            return
        if PyBytes_GET_SIZE(call.condition) <= MAX_PARSED:
            call.expression = expression
        if expression.needs_body:
            call.flags |= WANTS_VALUES | DEAR
        listed = () if call.depends_on is None else call.depends_on
        if len(listed) > FEW:
            listed = frozenset(listed)
        for name in expression.ids:
            if name not in listed:
                if name == call.id or not self.index.find(name):
                    call.flags |= NOT_EVALUABLE
                else:
                    self.depend(call, name, True)
            if call.group_state is not None and self.is_member(call.group_state, name):
                call.flags |= NOT_EVALUABLE     # JB-19: inside a group nothing is decided before all have run

    cdef bint is_member(self, Group group, bytes name) except -1:
        """Whether an unfinished call of the group bears the name."""
        cdef int found = self.index.find(name)
        cdef object pending = self.index.found
        self.index.found = None
        return found == FOUND_CALL and (<Call>pending).group_state is group

    cdef int admit_value(self, Call call, Reference reference) except -1:
        cdef int found = self.index.find(reference.name)
        cdef bint earlier = found == FOUND_DONE_CALL or (found == FOUND_CALL and self.index.found is not call)
        cdef Reference other
        self.index.found = None
        if not earlier and not reference.needed:
            return 0                        # plain text, such as a price
        if reference.kind == AS_JSON and not self.may_ask(call, reference.name):
            return 0
        call.flags |= DEAR
        if call.values is None:
            call.values = []
        if len(call.values) == MAX_REFERENCES:
            return call.refuse(400, "TooManyReferences", f"a call must not have more than {MAX_REFERENCES} references")
        if reference.path is not None and len(reference.path) > MAX_PATH:
            return call.refuse(400, "UnresolvedReference", "the path of a reference is too long")
        if reference.tail is not None and PyBytes_GET_SIZE(reference.tail) > MAX_TAIL:
            return call.refuse(400, "UnresolvedReference", "what follows a reference is too long")
        for other in call.values:
            if other.name == reference.name:
                break
        else:
            self.depend(call, reference.name, False)
        call.values.append(reference)
        return 0

    cdef int depend(self, Call call, bytes name, bint listed) except -1:
        """Makes a call wait for a call or group before it; listed: named in dependsOn, not only as `$<id>`."""
        cdef int found = self.index.find(name)
        cdef Call target
        cdef Group group
        cdef object pending = self.index.found
        self.index.found = None
        if not listed:
            call.flags |= WANTS_VALUES
        elif found == FOUND_GROUP or found == FOUND_DONE_GROUP:
            call.flags |= NAMES_GROUP
        if call.refusal is not None:
            return 0
        if found == FOUND_NOTHING or (found == FOUND_CALL and pending is call) or (
                not listed and (found == FOUND_GROUP or found == FOUND_DONE_GROUP)):
            if listed:
                said = "DependsOn" if self.result_of else "dependsOn"
                return call.refuse(400, "UnknownDependency", f"{said} names {quoted(name)!r}, "
                                   "which is no earlier call or group of the batch")
            said = f"resultOf({quoted(name)}) names" if call.flags & WANTS_BYTES else f"${quoted(name)} is"
            return call.refuse(400, "UnresolvedReference", f"{said} no earlier call of the batch")
        if found == FOUND_CALL:
            target = pending
            if target.group_state is not None and target.group_state is call.group_state:
                return 0                    # the upstream orders what is within its transaction
            if target.dependents is None:
                target.dependents = []
            target.dependents.append(call)
            target.wanted |= call.flags & (WANTS_VALUES | WANTS_BYTES) != 0
            call.waiting += 1
        elif found == FOUND_GROUP:
            group = pending
            if group is call.group_state:
                return call.refuse(400, "UnknownDependency", "a call must not depend on its own group")
            if group.dependents is None:
                group.dependents = []
            group.dependents.append(call)
            call.waiting += 1
        else:
            if not self.index.succeeded:
                call.flags |= DEPENDENCY_FAILED
            if found == FOUND_DONE_CALL:
                self.references.hand(call, name, self.references.get(name))
        return 0

    # --- groups

    cdef int enter_group(self, Call call) except -1:
        cdef Group group = self.open_group
        cdef Call first
        if call.group is None:
            if group is not None:
                self.close_group()
            return 0
        if group is None or group.name != call.group:
            if group is not None:
                self.close_group()
            group = Group(call.group, self.collecting and self.verdict is None)
            if self.index.insert(call.group, group, True):
                self.index.found = None
                raise EnvelopeError(
                    400, "BadGroup", f"the group {quoted(call.group)!r} is not adjacent, or has the name of a call",
                    f"requests[{call.number}].atomicityGroup")
            self.open_group = group
            if self.sequence is not None:
                group.turn = self.sequence.join(group)
        if PyBytes_GET_SIZE(call.group) > MAX_ID:
            call.refuse(400, "IdTooLong", f"the name of a group must not have more than {MAX_ID} bytes")
        group.size += 1
        group.unfinished += 1
        call.group_state = group
        if group.members is not None:
            return self.collect(group, call)
        if group.size == 1:
            # Held until the next call, or the end, shows whether it stays alone.
            group.first = call
            call.waiting += 1
            return 0
        if self.verdict is not None:
            return 0                        # its members have been let go
        first = group.first
        if first is not None:
            group.first = None
            self.refuse_member(first)
            if first.state == CALL_WAITING and first in self.waiting:
                self.waiting.pop(first, None)
                first.waiting = 0
                self.put_decided(first)
        self.refuse_member(call)
        return 0

    cdef int collect(self, Group group, Call call) except -1:
        """Holds a member until the group is closed and has its turn."""
        group.members.append(call)
        group.held_bytes += call.body_len
        if call.condition is not None:
            group.held_bytes += PyBytes_GET_SIZE(call.condition)
        call.waiting += 1
        if group.size > <uint64_t>self.max_group or group.held_bytes > self.max_body:
            raise EnvelopeError(
                413, "GroupTooLarge", f"a group of calls must not have more than {self.max_group} calls "
                f"(limits.max_group_calls) and {self.max_body} bytes (limits.max_call_bytes)",
                f"requests[{call.number}].atomicityGroup")
        return 0

    def refuse_member(self, Call call):
        if call.refusal is None:
            call.refusal = no_transaction()

    cdef int close_group(self) except -1:
        cdef Group group = self.open_group
        cdef Call first = group.first
        self.open_group = None
        group.closed = True
        group.first = None
        if group.members is not None and group.turn:
            self.let_members_go(group)
        if first is not None and first.state == CALL_WAITING and first in self.waiting:
            self.release(first, True)
        if group.finished():
            self.finish_group(group)
        return 0

    cdef int let_members_go(self, Group group) except -1:
        """The group is closed and has its turn: its members wait for their dependencies only."""
        cdef Call call
        for call in list(group.members):
            call.group_size = <int>group.size
            self.let_go(call)
        return 0

    cdef int finish_group(self, Group group) except -1:
        cdef Call dependent
        self.index.finish(group.name, True, 0, not group.failed)
        group.members = None
        if self.sequence is not None:
            self.next_item()
        if group.dependents is not None:
            for dependent in group.dependents:
                self.release(dependent, not group.failed)
            group.dependents = None
        return 0

    cdef int end_of_calls(self) except -1:
        """No more calls come: the open group is closed, nothing is kept for later."""
        self.input_open = False
        self.references.no_more()
        if self.open_group is not None:
            self.close_group()
        return 0

    cpdef int close(self) except -1:
        """The batch is over."""
        self.clear()
        return self.references.close()

    # --- a call is done

    cdef int release(self, Call call, bint succeeded) except -1:
        """One of the things that `call` waits for has finished."""
        if call.refusal is not None:
            return 0                        # it waits for its place alone
        if not succeeded:
            call.flags |= DEPENDENCY_FAILED
        return self.let_go(call)

    cdef int let_go(self, Call call) except -1:
        if call.state != CALL_WAITING or call.waiting == 0:
            return 0
        call.waiting -= 1
        if call.waiting == 0:
            self.waiting.pop(call, None)
            self.ready(call)
        return 0

    cdef int ready(self, Call call) except -1:
        """The call waits for nothing: it is decided alone, or with the last one of its group."""
        cdef Group group = call.group_state
        if group is not None and group.together():
            group.ready += 1
            if group.ready < group.size:
                return 0
            call = group.members[0]
        return self.put_decided(call)

    cdef int put_decided(self, Call call) except -1:
        """The call is to be settled: once in its life, but for what stop_ready() brings back."""
        must_hold((call.flags & DECIDED) == 0)
        call.flags |= DECIDED
        return self.decided.append(call)

    cdef int next_item(self) except -1:
        """MP-01: the item of the sequence that ran has finished."""
        cdef object item = self.sequence.leave()
        cdef Group group
        if isinstance(item, Group):
            group = item
            group.turn = True
            if group.closed:
                self.let_members_go(group)
        elif item is not None:
            self.let_go(item)
        return 0

    cdef int finish(self, Call call, Result result, bint succeeded) except -1:
        """The call has its result: those that wait for it go on."""
        cdef Call dependent
        cdef Kept kept = None, whole = None, given = None
        cdef Group group
        cdef list dependents = call.dependents
        call.state = CALL_DONE
        if call.id:
            self.index.finish(call.id, False, result.status, succeeded)
        if self.input_open and call.id and (self.result_of or not self.plain):
            kept = self.references.keep(call, result, True, self.result_of)
        if dependents is not None:
            call.dependents = None
            for dependent in dependents:
                if dependent.waiting == 0:
                    continue                # refused meanwhile: needs nothing
                if dependent.flags & WANTS_BYTES:
                    if whole is None:
                        whole = kept if kept is not None and kept.content is not None \
                            else self.references.keep(call, result, False, True)
                    self.references.hand(dependent, call.id, whole)
                elif dependent.flags & WANTS_VALUES:
                    if given is None:
                        given = kept if kept is not None and kept.body is not None \
                            else self.references.keep(call, result, False, False)
                    self.references.hand(dependent, call.id, given)
                self.release(dependent, succeeded)
        if call.group_state is not None:
            group = call.group_state
            group.unfinished -= 1
            if not succeeded:
                group.failed = True
            call.group_state = None
            if group.finished():
                self.finish_group(group)
        elif call.flags & IN_LINE and self.sequence is not None:
            self.next_item()
        return 0

    # --- deciding

    cdef Group spoken_for(self, Call call):
        """The group that is to be decided as one when this call comes out of `decided`, or None."""
        cdef Group group = call.group_state
        return group if group is not None and group.together() else None

    cdef bint holding_group(self) noexcept:
        """Whether calls are held until it is known how the open group goes on: reading must go on, too."""
        return self.open_group is not None and (self.open_group.members is not None or self.open_group.first is not None)

    cdef int stop(self, Refusal verdict) except -1:
        """Every call that is not decided yet, now or later, is: with this refusal, or the one it has."""
        cdef Call call
        cdef Group group
        cdef list undecided = list(self.waiting)
        cdef set ready = set()
        self.verdict = verdict
        self.sequence = None
        if self.search is not None:
            undecided.append(self.search.call)
            self.search = None
        for call in undecided:
            group = call.group_state
            if group is not None and group.members is not None:
                # Members that wait for nothing but the others do not count as waiting.
                ready.update(group.members)
                group.members = None
        if ready:
            undecided = sorted(ready.union(undecided), key=number_of)
        for call in undecided:
            call.waiting = 0
            if call.refusal is None:
                call.refusal = verdict
            self.put_decided(call)
        self.waiting.clear()
        return 0

    cdef int stop_ready(self, Call call, Refusal verdict) except -1:
        """After stop(): a call that was ready, or one that carries several, has not started and never will; or it has
        been run, and was to be sent again (BU-08)."""
        cdef Call member
        for member in call.members or (call,):
            member.upstream = None
            member.refusal = verdict if member.started == 0 else NOT_REPEATED
            if member.group_state is not None:
                (<Group>member.group_state).members = None
            member.flags &= ~<uint32_t>DECIDED
            self.put_decided(member)
        return 0

    cdef int let_inputs_go(self, Call call) except -1:
        """Lets go what the call is filled in with, or was to be."""
        self.references.let_go(call)
        call.values = None
        if self.filler is not None:
            self.filler.filling = None
        return 0

    cdef int clear(self) except -1:
        """No call is decided any more."""
        self.decided.clear()
        self.waiting.clear()
        self.search = None
        if self.filler is not None:
            self.filler.filling = None
        return 0

    cdef bint decide_group(self, Group group, int most) except -1:
        """GW-20: decides all members of a group before the first one runs: all are ready, or all refused.

        most: members, or steps of filling one in, in one go (PL-01); false: it has to be called again.
        """
        cdef Call call
        cdef Py_ssize_t before
        cdef bint done
        cdef set ids = group.ids()
        while group.judged < group.size:
            if most == 0:
                return False
            call = group.members[group.judged]
            group.judged += 1
            if call.refusal is None:
                judge(call, self.index, self.references)
                most -= 1
            if call.refusal is not None and group.verdict is None:
                group.verdict = call.refusal
        while group.verdict is None and group.filled < group.size:
            if most == 0:
                return False
            most -= 1
            call = group.members[group.filled]
            if not self.is_filling(call) and call.values is not None:
                leave_to_upstream(call, ids)
            if call.refusal is None:
                before = filled_bytes(call)
                done = self.fill(call, ids)
                group.held_bytes += filled_bytes(call) - before
                if group.held_bytes > self.max_body and call.refusal is None:
                    call.refuse(413, "GroupTooLarge", "the references make the calls of the group larger than "
                                f"limits.max_call_bytes ({self.max_body} bytes) together")
                if not done and call.refusal is None:
                    continue
            group.filled += 1
            if call.refusal is not None:
                group.verdict = call.refusal
        if group.verdict is not None:
            group.fail_members(Refusal(424, "FailedDependency", "another call of the group cannot be run, so none was",
                                       OUTCOME_DEPENDENCY_FAILED))
        for call in group.members:
            self.let_inputs_go(call)
            if group.verdict is None:
                call.state = CALL_READY
        return True

    cdef bint decide(self, Call call) except -1:
        """A step of deciding a call for which all that it waited for has finished; false: it has to be called again.

        In the end the call is refused (call.refusal), or ready to start.
        """
        if call.refusal is None:
            if not self.is_filling(call):
                judge(call, self.index, self.references)
            if call.refusal is None and not self.fill(call, None):
                return False
        if call.refusal is None:
            call.state = CALL_READY
        self.let_inputs_go(call)
        return True

    cdef Py_ssize_t most_growth(self, Call call) except -1:
        """Bytes that the call, or the group that is decided with it, may get at most by being filled in."""
        cdef Group group = self.spoken_for(call)
        cdef Py_ssize_t n = 0
        cdef Call member
        if group is None:
            return most_filled(call, self.references, self.max_body, self.max_line) if call.refusal is None else 0
        for member in group.members:
            if member.refusal is not None:
                return 0
            n += most_filled(member, self.references, self.max_body, self.max_line)
        # They are put together once more, for the request that carries them.
        return 2 * min(n, self.max_body)

    cdef Py_ssize_t filled(self, Call call) noexcept:
        """Bytes that it has, of those that may become more so."""
        cdef Group group = self.spoken_for(call)
        cdef Py_ssize_t n = 0
        cdef Call member
        if group is None:
            return filled_bytes(call)
        for member in group.members:
            n += filled_bytes(member)
        return 2 * n

    cdef bint is_filling(self, Call call) noexcept:
        """Whether fill() of this call has begun, and has to be called again."""
        return self.filler is not None and self.filler.is_within(call)

    cdef bint fill(self, Call call, set ids) except -1:
        """A step of putting in what the call takes from others. See Filler.step()."""
        if call.values is None and not call.flags & (URL_REFERENCE | ETAG_REFERENCE | WANTS_BYTES):
            return True
        if self.filler is None:
            self.filler = Filler.of(self.rules, self.references, self.max_body, self.max_depth, self.max_line)
        return self.filler.step(call, ids)

    # --- for tests

    def enter(self, Call call not None):
        """admit(), to the end."""
        if not self.admit(call):
            while not self.search_on(PIECE):
                pass

    def take(self):
        """decide() for all calls that can be: they are given out in order."""
        cdef list calls = []
        cdef Call call
        while self.decided.first is not None:
            call = self.decided.popleft()
            while not self.decide(call):
                pass
            calls.append(call)
        return calls

    def end(self, Call call not None, Result result not None):
        """finish(): the call got this result."""
        self.finish(call, result, 200 <= result.status < 300)

    @property
    def holding(self):
        """Bytes of bodies kept for calls still to come, and held by waiting calls."""
        return self.references.held, self.references.handed


def number_of(Call call):
    """The place of a call in its batch."""
    return call.number
