"""Bytes that the calls of a batch hold from when they are read until they have their results (PL-02).

A body is a slice of the chunk or message that it came in, so that a small one may keep a large one alive: what counts
is what is kept, once, for as long as one of its calls is pending. Must never count by what a client says.
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.model cimport Call, Holding
from batchwire.core.plan.conditions cimport MAX_PARSED
from batchwire.core.plan.value_finder cimport Reference
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum:
    CALL = 512                # a Call, its places in lists, the small objects that it has
    NAME = 64                 # one name of dependsOn, beside its letters: object, list, edge
    REFERENCE = 288           # one that was found, beside what it says: object, list, name, places in lists
    PLACE = 8                 # of a segment of its path
    SEGMENT = 40              # and the object, beside its letters, unless it is one of those that Python has once
    NODE = 32                 # bytes that a parsed condition takes for one of its text


cdef Py_ssize_t weight_of(Call call) except -1:
    """Bytes of a call beside its body."""
    cdef Py_ssize_t n = CALL + PyBytes_GET_SIZE(call.id) + PyBytes_GET_SIZE(call.url) + PyBytes_GET_SIZE(call.head)
    cdef bytes name
    if call.target is not None and call.target is not call.url:
        n += PyBytes_GET_SIZE(call.target)
    if call.group is not None:
        n += PyBytes_GET_SIZE(call.group)
    if call.condition is not None:
        n += PyBytes_GET_SIZE(call.condition) + NODE * min(PyBytes_GET_SIZE(call.condition), MAX_PARSED)
    if call.depends_on is not None:
        for name in call.depends_on:
            n += NAME + PyBytes_GET_SIZE(name)
    if call.values is not None:
        n += weight_of_references(call.values)
    return n


cdef Py_ssize_t weight_of_references(list found) except -1:
    cdef Py_ssize_t n = 0
    cdef Reference reference
    for reference in found:
        n += REFERENCE + PyBytes_GET_SIZE(reference.name)
        if reference.tail is not None:
            n += PyBytes_GET_SIZE(reference.tail)
        if reference.path is not None:
            for segment in reference.path:
                n += PLACE
                if type(segment) is int:
                    n += SEGMENT if segment > 256 else 0
                elif len(segment) > 1:
                    n += SEGMENT + len(segment)
    return n


cdef class Pending:
    cdef int charge(self, Call call) except -1:
        """The call has been admitted."""
        self.calls += 1
        call.charged = weight_of(call)
        self.bytes += call.charged
        return self.charge_body(call)

    cdef int charge_body(self, Call call) except -1:
        """Counts the body that the call has now."""
        cdef const void* owner = <const void*>call.body_owner
        if call.holding is not None:
            if call.holding.owner == owner:
                return 0
            self.release(call)
        if call.body_owner is None:
            return 0
        if self.newest is None or self.newest.owner != owner:
            self.newest = Holding.__new__(Holding)
            self.newest.owner = owner
            self.newest.size = PyBytes_GET_SIZE(call.body_owner) if type(call.body_owner) is bytes else call.body_len
            self.bytes += self.newest.size
        self.newest.calls += 1
        call.holding = self.newest
        return 0

    cdef int charge_again(self, Call call) except -1:
        """The call has been decided, and is still to be placed: counts it as it is with all that was filled in."""
        cdef Py_ssize_t weight = weight_of(call)
        self.bytes += weight - call.charged
        call.charged = weight
        return self.charge_body(call)

    cdef int charge_more(self, Call call, Py_ssize_t grown) except -1:
        """The call holds so many bytes more: of lines that it inherits, though calls that say the same share them."""
        call.charged += grown
        self.bytes += grown
        return 0

    cdef int discharge(self, Call call) except -1:
        """The call has its result."""
        must_hold(self.calls > 0)
        self.calls -= 1
        self.bytes -= call.charged
        call.charged = 0
        return self.release(call) if call.holding is not None else 0

    cdef int release(self, Call call) except -1:
        cdef Holding holding = call.holding
        call.holding = None
        holding.calls -= 1
        if holding.calls == 0:
            self.bytes -= holding.size
            if holding is self.newest:
                self.newest = None
        return 0
