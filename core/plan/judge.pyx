"""Whether a call runs, by its condition or by how its dependencies ended, and with what (JB-13, JB-19, GW-20)."""
from batchwire.core.model cimport CALL_READY, Call, OUTCOME_DEPENDENCY_FAILED, Refusal
from batchwire.core.plan.conditions cimport Expression, parse
from batchwire.core.plan.conditions import ConditionError
from batchwire.core.plan.filler cimport Filler, filled_bytes, leave_to_upstream, most_filled
from batchwire.core.plan.groups cimport Group, spoken_for
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.lookup cimport lookup_of
from batchwire.core.plan.plan_flags cimport (
    DEPENDENCY_FAILED, ETAG_REFERENCE, NOT_EVALUABLE, URL_REFERENCE, WANTS_BYTES,
)
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules


cdef int judge(Call call, CallIndex index, References references) except -1:
    """Refuses the call if it is not to run."""
    if call.condition is not None:
        why = why_not(call, index, references)
    elif call.flags & DEPENDENCY_FAILED:
        why = "a call that this one depends on failed"
    else:
        return 0
    if why is not None:
        call.refusal = Refusal(424, "FailedDependency", why, OUTCOME_DEPENDENCY_FAILED)
    return 0


cdef str why_not(Call call, CallIndex index, References references):
    """Why the condition does not let the call run, or None."""
    cdef Expression expression
    try:
        expression = parse(call.condition) if call.expression is None else call.expression
        if call.flags & NOT_EVALUABLE:
            return "the condition cannot be evaluated: it names a call that is not before it, or is of its own group"
        if expression.evaluate(lookup_of(index, references, call)):
            return None
    except ConditionError as error:
        return f"the condition cannot be evaluated: {error}"
    return "the condition of the call is not true"


cdef class Judge:
    @staticmethod
    cdef Judge of(UrlRules rules, CallIndex index, References references, Py_ssize_t max_body, int max_depth,
                  Py_ssize_t max_line):
        """The bounds are those of Plan."""
        cdef Judge made = Judge.__new__(Judge)
        made.rules = rules
        made.index = index
        made.references = references
        made.max_body = max_body
        made.max_depth = max_depth
        made.max_line = max_line
        return made

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
        cdef Group group = spoken_for(call)
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
        cdef Group group = spoken_for(call)
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

    cdef int let_inputs_go(self, Call call) except -1:
        """Lets go what the call is filled in with, or was to be."""
        self.references.let_go(call)
        call.values = None
        return self.drop()

    cdef int drop(self) except -1:
        """The call that is being filled in is not decided any more."""
        if self.filler is not None:
            self.filler.filling = None
        return 0
