"""Finding many values in one JSON text: it is gone through once, however many are asked for (PL-01).

The text has been validated by json_scan: nothing is judged here. What a lookup costs depends on the path alone, after
the first one that passes through an object or an array. Must never evaluate a path: a segment is a key, compared byte
for byte, or the index of an array in decimal digits, and nothing else; and never build a value from the text.
"""
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, check
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.json_walk cimport skip_space, string_end, value_end
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp

import os

cdef enum:
    NO_CONTAINER = 0xFFFFFFFF
    MAX_INDEX_DIGITS = 9

cdef uint64_t secret = int.from_bytes(os.urandom(8), "little")
cdef unsigned long long built = 0


def stats():
    """Debug counters: texts gone through since the start."""
    return {"json_indexes_built": built}


cdef uint64_t hash_of(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    cdef uint64_t h = secret
    cdef Py_ssize_t i
    for i in range(n):
        h = (h ^ p[i]) * 0x100000001b3ULL
    h ^= h >> 32
    return h * 0x9e3779b97f4a7c15ULL >> 20


cdef class Table:
    def __dealloc__(self):
        free(self.entries)
        free(self.slots)

    cdef int add(self, uint32_t key, uint32_t key_end, uint32_t value, uint32_t container) except -1:
        cdef Entry* entries
        cdef Entry* entry
        # Room for a power of two entries, doubled when it is full.
        if self.count & (self.count - 1) == 0:
            entries = <Entry*>realloc(self.entries, sizeof(Entry) * (2 * self.count if self.count else 1))
            if entries == NULL:
                raise MemoryError()
            self.entries = entries
        entry = &self.entries[self.count]
        entry.key = key
        entry.key_end = key_end
        entry.value = value
        entry.container = container
        self.count += 1
        return 0

    cdef int enter_names(self, const uint8_t* p) except -1:
        cdef Py_ssize_t i
        cdef uint64_t at
        cdef Entry* entry
        cdef bytes name
        self.capacity = 2
        while self.capacity < 2 * self.count:
            self.capacity *= 2
        self.slots = <uint32_t*>calloc(self.capacity, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError()
        for i in range(self.count - 1, -1, -1):
            # From the last one: of several with one name it counts, and is met first.
            entry = &self.entries[i]
            if escaped(p, entry):
                name = unescaped(p + entry.key, entry.key_end - entry.key)
                at = hash_of(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
            else:
                at = hash_of(p + entry.key, entry.key_end - entry.key)
            at &= self.capacity - 1
            while self.slots[at]:
                # Many members of one name must not make a long row of slots.
                if same_name(p, entry, &self.entries[self.slots[at] - 1]):
                    break
                at = (at + 1) & (self.capacity - 1)
            else:
                self.slots[at] = <uint32_t>i + 1
        return 0

    cdef Py_ssize_t held(self) noexcept:
        return 2 * self.count * sizeof(Entry) + self.capacity * sizeof(uint32_t) + 128


cdef inline bint escaped(const uint8_t* p, Entry* entry) noexcept nogil:
    return memchr(p + entry.key, c'\\', entry.key_end - entry.key) != NULL


cdef bint same_name(const uint8_t* p, Entry* a, Entry* b) except -1:
    if escaped(p, a) or escaped(p, b):
        return unescaped(p + a.key, a.key_end - a.key) == unescaped(p + b.key, b.key_end - b.key)
    return a.key_end - a.key == b.key_end - b.key and memcmp(p + a.key, p + b.key, a.key_end - a.key) == 0


cdef class JsonIndex:
    def __dealloc__(self):
        free(self.containers)

    cdef int build(self) except -1:
        """Finds where each object and array ends."""
        cdef uint32_t[MAX_DEPTH + 1] open_ones
        cdef const uint8_t* p = self.p
        cdef Py_ssize_t i = 0, capacity = 0
        cdef Container* containers
        cdef int depth = 0
        cdef bint with_escape
        while i < self.n:
            if p[i] == c'"':
                i = string_end(p, i + 1, self.n, &with_escape)
            elif p[i] == c'{' or p[i] == c'[':
                if self.count == capacity:
                    capacity = 2 * capacity if capacity else 16
                    containers = <Container*>realloc(self.containers, capacity * sizeof(Container))
                    if containers == NULL:
                        raise MemoryError()
                    self.containers = containers
                self.containers[self.count].start = <uint32_t>i
                open_ones[depth] = <uint32_t>self.count
                depth += 1
                self.count += 1
            elif p[i] == c'}' or p[i] == c']':
                depth -= 1
                self.containers[open_ones[depth]].end = <uint32_t>i + 1
                self.containers[open_ones[depth]].next = <uint32_t>self.count
            i += 1
        self.size = capacity * sizeof(Container) + 256
        return 0

    cdef Table table_of(self, uint32_t number):
        cdef Table table = self.tables.get(number)
        cdef const uint8_t* p = self.p
        cdef Container* container = &self.containers[number]
        cdef uint32_t child = number + 1
        cdef Py_ssize_t i, n = self.n, key = 0, key_end = 0, value
        cdef bint named, with_escape
        if table is not None:
            return table
        table = Table.__new__(Table)
        named = p[container.start] == c'{'
        i = skip_space(p, container.start + 1, n)
        while i < container.end - 1:
            if named:
                key = i + 1
                key_end = string_end(p, key, n, &with_escape)
                i = skip_space(p, skip_space(p, key_end + 1, n) + 1, n)
            value = i
            if p[i] == c'{' or p[i] == c'[':
                table.add(<uint32_t>key, <uint32_t>key_end, <uint32_t>value, child)
                i = self.containers[child].end
                child = self.containers[child].next
            else:
                table.add(<uint32_t>key, <uint32_t>key_end, <uint32_t>value, <uint32_t>NO_CONTAINER)
                i = value_end(p, i, n)
            i = skip_space(p, i, n)
            if p[i] == c',':
                i = skip_space(p, i + 1, n)
        if named:
            table.enter_names(p)
        self.tables[number] = table
        self.size += table.held()
        return table

    cdef int member(self, Table table, bytes name) except -2:
        """Number of the entry of a name, or -1."""
        cdef const uint8_t* wanted = <const uint8_t*>PyBytes_AS_STRING(name)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(name), length
        cdef uint64_t at = hash_of(wanted, n) & (table.capacity - 1)
        cdef const uint8_t* raw
        cdef Entry* entry
        while table.slots[at]:
            entry = &table.entries[table.slots[at] - 1]
            raw = self.p + entry.key
            length = entry.key_end - entry.key
            if length == n and memcmp(raw, wanted, n) == 0:
                # A name with a backslash in it is never written as it is.
                if memchr(raw, c'\\', n) == NULL:
                    return <int>table.slots[at] - 1
            elif length > n and memchr(raw, c'\\', length) != NULL and unescaped(raw, length) == name:
                return <int>table.slots[at] - 1
            at = (at + 1) & (table.capacity - 1)
        return -1

    cdef int find(self, list path, Py_ssize_t* start, Py_ssize_t* end) except -1:
        """Where the value at the end of a path lies."""
        cdef Py_ssize_t i = skip_space(self.p, 0, self.n)
        cdef uint32_t number = 0 if self.count and self.containers[0].start == i else <uint32_t>NO_CONTAINER
        cdef Table table
        cdef bytes segment
        cdef Py_ssize_t at
        for segment in path:
            if number == <uint32_t>NO_CONTAINER:
                return NO_VALUE
            if self.p[self.containers[number].start] == c'{':
                table = self.table_of(number)
                at = self.member(table, segment)
            else:
                table = self.table_of(number)
                at = element(segment)
                if at < 0:
                    return NO_PATH
                if at >= table.count:
                    return NO_VALUE
            if at < 0:
                return NO_VALUE
            i = table.entries[at].value
            number = table.entries[at].container
        start[0] = i
        end[0] = value_end(self.p, i, self.n) if number == <uint32_t>NO_CONTAINER else self.containers[number].end
        return FOUND_VALUE


cdef Py_ssize_t element(bytes index) noexcept:
    """The number that decimal digits say, counted from 0; -1: no index."""
    cdef const char* digits = PyBytes_AS_STRING(index)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(index), number = 0, k
    if length == 0 or length > MAX_INDEX_DIGITS or (length > 1 and digits[0] == c'0'):
        return -1
    for k in range(length):
        if not c'0' <= digits[k] <= c'9':
            return -1
        number = number * 10 + digits[k] - c'0'
    return number


cdef JsonIndex index_of(bytes text):
    """The index of a valid JSON text; None: it is none, or nested deeper than MAX_DEPTH."""
    global built
    cdef JsonIndex index
    if check(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), MAX_DEPTH) >= 0:
        return None
    index = JsonIndex.__new__(JsonIndex)
    index.text = text
    index.p = <const uint8_t*>PyBytes_AS_STRING(text)
    index.n = PyBytes_GET_SIZE(text)
    index.tables = {}
    index.build()
    built += 1
    return index


def text_at(bytes text not None, list path not None):
    """For tests: the text of the value at the end of the path in a JSON document, or None."""
    cdef Py_ssize_t start = 0, end = 0
    cdef JsonIndex index = index_of(text)
    if index is None:
        raise ValueError("the text is not JSON")
    if index.find(path, &start, &end) != FOUND_VALUE:
        return None
    return text[start:end]
