"""Whether a call runs, by its condition or by how its dependencies ended (JB-13, JB-19)."""
from batchwire.core.model cimport Call, OUTCOME_DEPENDENCY_FAILED, Refusal
from batchwire.core.plan.conditions cimport Expression, parse
from batchwire.core.plan.conditions import ConditionError
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.lookup cimport lookup_of
from batchwire.core.plan.plan_flags cimport DEPENDENCY_FAILED, NOT_EVALUABLE
from batchwire.core.plan.references cimport References


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
