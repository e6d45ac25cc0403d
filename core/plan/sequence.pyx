"""The order of a multipart batch: calls and change sets run one after the other, as they were received (MP-01).

Must never look at how an item ended: whether the rest still runs is the session's decision (MP-02).
"""
from collections import deque


cdef class Sequence:
    def __init__(self):
        self.line = deque()

    cdef bint join(self, object item) except -1:
        """Takes the next call or group; whether it has its turn at once."""
        self.line.append(item)
        return len(self.line) == 1

    cdef object leave(self):
        """The item whose turn it was has finished: the one that has its turn now, or None."""
        self.line.popleft()
        return self.line[0] if self.line else None
