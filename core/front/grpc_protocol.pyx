"""Small words of the gRPC wire protocol: time-outs, codings, messages of a status.

(grpc/doc/PROTOCOL-HTTP2.md.) Must never know a stream.
"""
from batchwire.core.dialects.codings import GZIP, ZLIB
from batchwire.core.errors import EnvelopeError

cdef dict UNITS = {72: 3600.0, 77: 60.0, 83: 1.0, 109: 1e-3, 117: 1e-6, 110: 1e-9}  # H M S m u n
cdef int MESSAGE_BYTES = 4096                # of a status message; headers are no place for more

CODINGS = {b"identity": 0, b"gzip": GZIP, b"deflate": ZLIB}
"""What grpc-encoding may say, with the windowBits of zlib."""


def timeout_seconds(bytes value not None):
    """Seconds of a grpc-timeout ("100m"). Raises EnvelopeError."""
    cdef Py_ssize_t digits_size = max(len(value) - 1, 0)
    cdef bytes digits = value[:digits_size]
    if not 1 <= digits_size <= 8 or not digits.isdigit() or value[digits_size] not in UNITS:
        raise EnvelopeError(400, "BadTimeout", "grpc-timeout is malformed")
    return int(digits) * UNITS[value[digits_size]]


def percent_encoded(str message not None):
    """A grpc-message: UTF-8, of which printable ASCII but "%" stays as it is."""
    cdef bytes raw = message.encode("utf-8", "replace")[:MESSAGE_BYTES]
    cdef bytearray out = bytearray()
    for c in raw:
        if 0x20 <= c <= 0x7e and c != 0x25:
            out.append(c)
        else:
            out += b"%%%02X" % c
    return bytes(out)
