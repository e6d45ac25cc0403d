"""The answer to one change set: a nested multipart, or one part when a member has failed (MP-05, MP-08, GW-19).

Where the client cuts nested answers only, the one part is in a nested multipart too (CL-07).

Must never show a success of a set of which a member has failed.
"""
from batchwire.core.model cimport Buffer

import secrets


cdef class ChangeSet:
    def __init__(self, bytes name not None, bint nested_errors):
        self.name = name
        self.nested_errors = nested_errors
        self.boundary = b"changesetresponse_" + secrets.token_hex(16).encode()
        self.parts = Buffer()

    cdef int add(self, Buffer part) except -1:
        """Takes the part of a member that has succeeded."""
        if not self.failed:
            self.parts.put(part.data, part.size)
        self.members += 1
        return 0

    cdef bint wants_failure(self, int status) noexcept:
        """Whether this failure says more than the one that is kept."""
        return not self.failed or (not self.failed_itself and status != 424)

    cdef int fail(self, Buffer part, int status) except -1:
        """Takes the part of a member that has failed; None: it would not be shown."""
        if part is not None:
            self.failure = part
            self.failed_itself = status != 424
        self.failed = True
        self.parts.clear()
        self.members += 1
        return 0

    cdef int put(self, Buffer out, bytes outer) except -1:
        """Appends the answer of the whole set, with the delimiter of the outer document."""
        cdef Buffer parts = self.failure if self.failed else self.parts
        if self.failed and not self.nested_errors:
            return out.put(parts.data, parts.size)
        out.grow(parts.size + 512)
        out.put(b"--", 2)
        out.put_bytes(outer)
        out.put(b"\r\nContent-Type: multipart/mixed; boundary=", 42)
        out.put_bytes(self.boundary)
        out.put(b"\r\n\r\n", 4)
        out.put(parts.data, parts.size)
        out.put(b"--", 2)
        out.put_bytes(self.boundary)
        return out.put(b"--\r\n", 4)
