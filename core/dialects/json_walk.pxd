# Finding one's way in JSON text that has been validated. See json_walk.pyx.
from libc.stdint cimport uint8_t

# Index of the quote that closes the string whose inside starts at i; sets `escaped` when it has an escape.
cdef Py_ssize_t string_end(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, bint* escaped) noexcept nogil
# Index of the first byte from i on that is not white space, or n.
cdef Py_ssize_t skip_space(const uint8_t* p, Py_ssize_t i, Py_ssize_t n) noexcept nogil
# Index after the value that starts at i.
cdef Py_ssize_t value_end(const uint8_t* p, Py_ssize_t i, Py_ssize_t n) noexcept nogil
