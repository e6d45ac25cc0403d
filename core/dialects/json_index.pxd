# Where the values of a JSON text lie. See json_index.pyx.
from libc.stdint cimport uint8_t, uint32_t

cdef struct Container:
    uint32_t start            # of its opening bracket
    uint32_t end              # after its closing one
    uint32_t next             # number of the first container that begins behind it

cdef struct Entry:
    uint32_t key              # the raw text of a name, without its quotes
    uint32_t key_end
    uint32_t value
    uint32_t container        # number of the container that the value is, or NO_CONTAINER

cdef class Table:
    """The members of one object, or the elements of one array."""
    cdef Entry* entries
    cdef Py_ssize_t count
    cdef uint32_t* slots      # of an object: numbers of entries by the hash of the name, from 1
    cdef Py_ssize_t capacity  # a power of two
    cdef int add(self, uint32_t key, uint32_t key_end, uint32_t value, uint32_t container) except -1
    cdef int enter_names(self, const uint8_t* p) except -1
    cdef Py_ssize_t held(self) noexcept

cdef enum Finding:
    NO_VALUE = 0              # nothing lies there
    FOUND_VALUE = 1
    NO_PATH = 2               # the path asks an array for a member

cdef class JsonIndex:
    cdef bytes text
    cdef const uint8_t* p
    cdef Py_ssize_t n
    cdef Container* containers
    cdef Py_ssize_t count
    cdef dict tables          # number of a container -> Table
    cdef readonly Py_ssize_t size     # bytes that it takes itself
    cdef int find(self, list path, Py_ssize_t* start, Py_ssize_t* end) except -1     # a Finding
    cdef int build(self) except -1
    cdef Table table_of(self, uint32_t number)
    cdef int member(self, Table table, bytes name) except -2

cdef JsonIndex index_of(bytes text)
