"""Faults on purpose: a test arms a hook, which may raise at each place that it is told of (BU-05).

Must never be armed outside of tests.
"""

cdef int armed = 0
cdef object hook = None


cdef int strike(const char* place) except -1:
    if hook is not None:
        hook((<bytes>place).decode())
    return 0


def arm(told):
    """told: called with the name of each place that is passed, and may raise there; None: nothing is told any more."""
    global armed, hook
    hook = told
    armed = told is not None
