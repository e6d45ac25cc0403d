from batchwire.core.model cimport Call, CallQueue, Refusal, Result
from batchwire.core.plan.filler cimport Filler
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport Kept, References
from batchwire.core.plan.sequence cimport Sequence
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.plan.value_finder cimport BodyScan, Reference
from libc.stdint cimport uint64_t

cdef class Plan:
    """What waits for what. See order.pyx."""
    cdef CallIndex index
    cdef References references
    cdef UrlRules rules
    cdef Group open_group
    cdef readonly uint64_t admitted
    cdef Py_ssize_t max_body                # of a call after references are filled in
    cdef int max_depth                      # of its JSON
    cdef Py_ssize_t max_line                # of its URL and of its header lines after references are filled in
    cdef Sequence sequence                  # MP-01: items run one after the other; None: only dependencies order them
    cdef bint collecting                    # groups are held until they can be decided as one
    cdef int max_group                      # members of a collected group
    cdef Refusal verdict                    # what every call gets that is not decided yet: deadline or stop
    cdef public bint result_of              # `resultOf(<id>)` in bodies is understood
    cdef public bint plain                  # `$<id>` is not: such text is passed on as it is
    cdef public bint input_open             # calls may still come that refer to finished ones
    cdef CallQueue decided                  # Calls whose dependencies are all finished
    cdef dict waiting                       # Calls that wait, as they came -> None
    cdef BodyScan search                    # of the newest call, whose body is long and not searched whole; or None
    cdef Filler filler                      # None: nothing has been filled in yet
    cdef bint admit(self, Call call) except -1
    cdef bint names_groups(self, Call call) noexcept
    cdef bint may_ask(self, Call call, bytes name) except -1
    cdef bint search_on(self, Py_ssize_t most) except -1
    cdef int admitted_whole(self, Call call) except -1
    cdef int end_of_calls(self) except -1
    cpdef int close(self) except -1
    cdef int finish(self, Call call, Result result, bint succeeded) except -1
    cdef int admit_value(self, Call call, Reference reference) except -1
    cdef bint decide(self, Call call) except -1
    cdef bint decide_group(self, Group group, int most) except -1
    cdef Group spoken_for(self, Call call)
    cdef bint holding_group(self) noexcept
    cdef int stop(self, Refusal verdict) except -1
    cdef int stop_ready(self, Call call, Refusal verdict) except -1
    cdef int let_inputs_go(self, Call call) except -1
    cdef int clear(self) except -1
    cdef Py_ssize_t most_growth(self, Call call) except -1
    cdef Py_ssize_t filled(self, Call call) noexcept
    cdef bint is_filling(self, Call call) noexcept
    cdef bint fill(self, Call call, set ids) except -1
    cdef bint is_member(self, Group group, bytes name) except -1
    cdef int enter_group(self, Call call) except -1
    cdef int collect(self, Group group, Call call) except -1
    cdef int close_group(self) except -1
    cdef int let_go(self, Call call) except -1
    cdef int let_members_go(self, Group group) except -1
    cdef int ready(self, Call call) except -1
    cdef int put_decided(self, Call call) except -1
    cdef int next_item(self) except -1
    cdef int finish_group(self, Group group) except -1
    cdef int depend(self, Call call, bytes name, bint listed) except -1
    cdef int release(self, Call call, bint succeeded) except -1

    cdef inline Py_ssize_t handed(self) noexcept:
        """Bytes of answers that waiting calls need."""
        return self.references.handed + self.references.index_bytes
