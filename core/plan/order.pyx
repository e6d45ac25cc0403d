"""What waits for what: admits calls in document order, and gives each out when all it waits for has finished.

Rules JP-01..JP-03, MP-01, MP-04, ID-02, GW-02..GW-04; what a call names is for the Dependencies, whether it runs for the
Judge. State of a finished call is its entry in the index and, within a budget, what references need. Must never start a
call: one that is decided is either refused (call.refusal says how) or ready, and the dispatcher takes it from there.
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.dialects.identifiers cimport MAX_ID
from batchwire.core.errors import EnvelopeError, quoted
from batchwire.core.model cimport CALL_DONE, CALL_WAITING, Call, CallQueue, OUTCOME_UNREACHABLE, Refusal, Result
from batchwire.core.plan.dependencies cimport PIECE, Dependencies
from batchwire.core.plan.groups cimport Group, no_transaction
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.judge cimport Judge
from batchwire.core.plan.plan_flags cimport DECIDED, DEPENDENCY_FAILED, IN_LINE, WANTS_BYTES, WANTS_VALUES
from batchwire.core.plan.references cimport Kept, References
from batchwire.core.plan.sequence cimport Sequence
from batchwire.core.plan.urls cimport UrlRules
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport uint32_t

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
    result_of: `resultOf(<id>)` in bodies is understood. plain: `$<id>` is not: such text is passed on as it is.
    """

    def __init__(self, UrlRules rules not None, Py_ssize_t reference_bytes, Py_ssize_t max_body=16 << 20,
                 int max_depth=64, bint sequential=False, bint collecting=False, int max_group=1000,
                 Py_ssize_t max_line=32768, Py_ssize_t process_reference_bytes=64 << 20, bint result_of=False):
        self.begin(rules, reference_bytes, max_body, max_depth, sequential, collecting, max_group, max_line,
                   process_reference_bytes, result_of, False)

    @staticmethod
    cdef Plan of(UrlRules rules, Py_ssize_t reference_bytes, Py_ssize_t max_body, int max_depth, bint sequential,
                 bint collecting, int max_group, Py_ssize_t max_line, Py_ssize_t process_reference_bytes,
                 bint result_of, bint plain):
        cdef Plan made = Plan.__new__(Plan)
        made.begin(rules, reference_bytes, max_body, max_depth, sequential, collecting, max_group, max_line,
                   process_reference_bytes, result_of, plain)
        return made

    cdef int begin(self, UrlRules rules, Py_ssize_t reference_bytes, Py_ssize_t max_body, int max_depth, bint sequential,
                   bint collecting, int max_group, Py_ssize_t max_line, Py_ssize_t process_reference_bytes,
                   bint result_of, bint plain) except -1:
        """What a new plan does first."""
        self.max_body = max_body
        self.index = CallIndex()
        self.references = References(reference_bytes, process_reference_bytes)
        self.dependencies = Dependencies.of(rules, self.index, self.references, sequential, result_of, plain)
        self.judge = Judge.of(rules, self.index, self.references, max_body, max_depth, max_line)
        self.decided = CallQueue()
        self.waiting = {}
        self.input_open = True
        self.remembers = result_of or not plain
        self.sequence = Sequence() if sequential else None
        self.collecting = collecting or sequential
        self.max_group = max_group
        return 0

    # --- a call comes in

    cdef bint admit(self, Call call) except -1:
        """Takes the next call. It is then among `decided`, or waits; false: its body is long, and search_on() has to be
        called before it is. EnvelopeError: the batch is broken.
        """
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
        if not self.dependencies.enter(call):
            return False
        self.admitted_whole(call)
        return True

    cdef bint search_on(self, Py_ssize_t most) except -1:
        """Searches so many bytes of the newest call's body for references; whether the call has been admitted."""
        cdef Call call = self.dependencies.search.call
        if not self.dependencies.search_on(most):
            return False
        self.admitted_whole(call)
        return True

    cdef int admitted_whole(self, Call call) except -1:
        """All is known that the call names; it waits, or is decided."""
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
        if self.input_open and call.id and self.remembers:
            kept = self.references.keep(call, result, True, self.dependencies.result_of)
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

    cdef bint holding_group(self) noexcept:
        """Whether calls are held until it is known how the open group goes on: reading must go on, too."""
        return self.open_group is not None and (self.open_group.members is not None or self.open_group.first is not None)

    cdef int stop(self, Refusal verdict) except -1:
        """Every call that is not decided yet, now or later, is: with this refusal, or the one it has."""
        cdef Call call
        cdef Group group
        cdef Call searched = self.dependencies.stop_search()
        cdef list undecided = list(self.waiting)
        cdef set ready = set()
        self.verdict = verdict
        self.sequence = None
        if searched is not None:
            undecided.append(searched)
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

    cdef int clear(self) except -1:
        """No call is decided any more."""
        self.decided.clear()
        self.waiting.clear()
        self.dependencies.stop_search()
        return self.judge.drop()

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
            while not self.judge.decide(call):
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
