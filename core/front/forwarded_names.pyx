"""Which header fields of an outer request go to its calls, by their names (CL-10): asked of the service once a name."""
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum:
    MOST_NAMES = 1024         # whose verdict is kept
    LONGEST_NAME = 64         # bytes; nobody has many that are longer


cdef class ForwardedNames:
    """wants: whether a field goes to the calls, by its name, bytes in lower case."""

    def __init__(self, wants not None):
        self.wants = wants
        self.verdicts = {}

    cdef bint holds(self, bytes name) except -1:
        cdef object verdict = self.verdicts.get(name)
        if verdict is None:
            verdict = bool(self.wants(name))
            if PyBytes_GET_SIZE(name) <= LONGEST_NAME:
                if len(self.verdicts) >= MOST_NAMES:
                    self.verdicts.clear()
                self.verdicts[name] = verdict
        return verdict is True

    def __contains__(self, bytes name not None):
        return self.holds(name)
