"""What a call names of those before it: in its URL, its If-Match, `dependsOn`, query, body and condition.

Rules JB-13..JB-19, ID-11..ID-13, GW-14, GW-16, PL-04. A call waits for each that has not finished, and gets what it needs
of each that has; it is refused for what it must not name. Must never decide when a call runs: the plan counts what it
waits for.
"""
from batchwire.core.errors import quoted
from batchwire.core.methods cimport only_reads
from batchwire.core.model cimport Call
from batchwire.core.plan.conditions cimport MAX_PARSED, Expression, parse
from batchwire.core.plan.conditions import ConditionError
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.index cimport (
    CallIndex, FOUND_CALL, FOUND_DONE_CALL, FOUND_DONE_GROUP, FOUND_GROUP, FOUND_NOTHING,
)
from batchwire.core.plan.plan_flags cimport (
    DEAR, DEPENDENCY_FAILED, ETAG_REFERENCE, NAMES_GROUP, NOT_EVALUABLE, URL_REFERENCE, WANTS_BYTES, WANTS_VALUES,
)
from batchwire.core.plan.references cimport Kept, References, etag_references
from batchwire.core.plan.result_of cimport result_of_ids
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.plan.value_finder cimport (
    AS_JSON, MAX_PATH, MAX_REFERENCES, MAX_TAIL, BodyScan, Reference, body_may_refer, query_may_refer, scan_body,
)
from batchwire.core.plan.value_finder import query_references
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum:
    FEW = 16                  # names in dependsOn that may be there twice
    CANDIDATE = 256           # bytes of a body that take as long as a string that looks like a reference
    LONG = 2048               # bytes of a URL and headers that are no trifle to go through


cdef class Dependencies:
    @staticmethod
    cdef Dependencies of(UrlRules rules, CallIndex index, References references, bint sequential, bint result_of, bint plain):
        """sequential: no group names its own. result_of, plain: see Plan."""
        cdef Dependencies made = Dependencies.__new__(Dependencies)
        made.rules = rules
        made.index = index
        made.references = references
        made.sequential = sequential
        made.result_of = result_of
        made.plain = plain
        return made

    cdef bint enter(self, Call call) except -1:
        """Finds what the newest call names; false: its body is long, and search_on() has to be called before all is known."""
        cdef bytes name, rest, reference
        cdef list names
        cdef Reference found
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
                    self.enter_value(call, found)
                    if call.refusal is not None:
                        break
            if call.refusal is None and not self.plain and body_may_refer(call):
                self.search = scan_body(call, frozenset(call.depends_on) if call.depends_on else None,
                                        self.names_groups(call))
                call.waiting += 1           # for the search: nobody else decides the call before its end
                return self.search_on(PIECE)
        self.enter_rest(call)
        return True

    cdef bint search_on(self, Py_ssize_t most) except -1:
        """Searches so many bytes of the newest call's body for references; whether all is known then."""
        cdef BodyScan search = self.search
        cdef Call call = search.call
        cdef Reference found
        while most > 0 and call.refusal is None and not search.over():
            if search.step(PIECE):
                found = search.next()
                while found is not None:
                    most -= CANDIDATE
                    self.enter_value(call, found)
                    if call.refusal is not None:
                        break
                    found = search.next()
            most -= PIECE
        if call.refusal is None and not search.over():
            return False
        self.search = None
        call.waiting -= 1
        self.enter_rest(call)
        return True

    cdef int enter_rest(self, Call call) except -1:
        """What is found when its body is known."""
        if call.refusal is None and self.result_of:
            for name in result_of_ids(call):
                call.flags |= WANTS_BYTES
                self.depend(call, name, False)
        if call.condition is not None and call.refusal is None:
            self.enter_condition(call)
        if call.values is not None or call.flags & (WANTS_BYTES | URL_REFERENCE | ETAG_REFERENCE) \
                or PyBytes_GET_SIZE(call.url) + PyBytes_GET_SIZE(call.head) > LONG or (
                call.condition is not None and PyBytes_GET_SIZE(call.condition) > MAX_PARSED):
            call.flags |= DEAR
        return 0

    cdef bint names_groups(self, Call call) noexcept:
        """Whether values of calls may be meant whose ids are not in dependsOn: of a group that it names, or its own."""
        return call.flags & NAMES_GROUP != 0 or (call.group_state is not None and not self.sequential)

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

    cdef int enter_condition(self, Call call) except -1:
        cdef Expression expression
        cdef bytes name
        try:
            expression = parse(call.condition)
        except ConditionError:
            call.flags |= NOT_EVALUABLE
            return 0
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
        return 0

    cdef bint is_member(self, Group group, bytes name) except -1:
        """Whether an unfinished call of the group bears the name."""
        cdef int found = self.index.find(name)
        cdef object pending = self.index.found
        self.index.found = None
        return found == FOUND_CALL and (<Call>pending).group_state is group

    cdef int enter_value(self, Call call, Reference reference) except -1:
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

    cdef Call stop_search(self):
        """The call whose body was being searched, or None: it is searched no further."""
        cdef BodyScan search = self.search
        self.search = None
        return None if search is None else search.call
