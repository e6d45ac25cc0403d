"""All ids and group names of a batch, in 16 bytes each, so that a batch may hold millions.

An entry is a 64-bit hash and a payload: a borrowed pointer to the unfinished Call or Group, or for a finished
one its status and 48 more bits of hash. Two ids are taken for the same only if all 112 bits agree, both
hashes being keyed with random numbers. Must never hold a call alive or keep an id's text.
"""
from cython cimport freelist
from cpython.object cimport PyObject, PyObject_Hash
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free

import os

cdef enum:
    DONE = 1
    GROUP = 2
    SUCCEEDED = 4
    STATUS_SHIFT = 3
    CHECK_SHIFT = 16


# Nobody outside can know it. Each index goes one step of a generator further (splitmix64).
cdef uint64_t secret = int.from_bytes(os.urandom(8), "little")


cdef uint64_t next_seed() noexcept:
    global secret
    cdef uint64_t z
    secret += 0x9e3779b97f4a7c15ULL
    z = secret
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL
    return z ^ (z >> 31)


@freelist(8)                  # it is large, and each batch has one
cdef class CallIndex:
    def __cinit__(self):
        self.seed = next_seed()

    def __dealloc__(self):
        cdef int i
        for i in range(64):
            free(self.shards[i].entries)

    cdef uint64_t check_of(self, bytes name) noexcept:
        """48 bits of keyed FNV-1a, independent of Python's own hash."""
        cdef const uint8_t* p = name
        cdef Py_ssize_t i
        cdef uint64_t h = self.seed ^ 0xcbf29ce484222325ULL
        for i in range(len(name)):
            h = (h ^ p[i]) * 0x100000001b3ULL
        h ^= h >> 29
        h *= 0xbf58476d1ce4e5b9ULL
        return (h ^ (h >> 32)) & 0xffffffffffff

    cdef Entry* slot(self, uint64_t hash, uint64_t check) noexcept:
        """The entry of a name, or the empty one where it would go; NULL: the shard has no room at all."""
        cdef Shard* shard = &self.shards[hash >> 58]
        cdef uint64_t at, _n
        cdef Entry* entry
        if shard.capacity == 0:
            return NULL
        at = hash % shard.capacity
        for _n in range(shard.capacity):
            entry = &shard.entries[at]
            if entry.hash == 0:
                return entry
            if entry.hash == hash:
                # An unfinished entry has a pointer instead of the check; 64 bits must do while it runs.
                if not (entry.payload & DONE) or entry.payload >> CHECK_SHIFT == check:
                    return entry
            at += 1
            if at == shard.capacity:
                at = 0
        return NULL

    cdef int find(self, bytes name) except -1:
        """Looks a name up; sets `found`, or `succeeded` and `status`. Returns a FoundKind."""
        cdef uint64_t hash = <uint64_t>PyObject_Hash(name) | 1
        cdef Entry* entry = self.slot(hash, self.check_of(name))
        self.found = None
        if entry == NULL or entry.hash == 0:
            return FOUND_NOTHING
        if entry.payload & DONE:
            self.succeeded = (entry.payload & SUCCEEDED) != 0
            self.status = <int>((entry.payload >> STATUS_SHIFT) & 0x1fff)
            return FOUND_DONE_GROUP if entry.payload & GROUP else FOUND_DONE_CALL
        self.found = <object><PyObject*>(entry.payload & ~<uint64_t>15)
        return FOUND_GROUP if entry.payload & GROUP else FOUND_CALL

    cdef int insert(self, bytes name, object pending, bint group) except -1:
        """Adds a name; returns 0, or what find() would when it is there already."""
        cdef uint64_t hash = <uint64_t>PyObject_Hash(name) | 1
        cdef Shard* shard = &self.shards[hash >> 58]
        cdef Entry* entry
        if shard.used + 1 > shard.capacity - shard.capacity // 5:
            self.grow(shard)
        entry = self.slot(hash, self.check_of(name))
        if entry.hash != 0:
            return self.find(name)
        entry.hash = hash
        entry.payload = <uint64_t><PyObject*>pending | (GROUP if group else 0)
        shard.used += 1
        return 0

    cdef int finish(self, bytes name, bint group, int status, bint succeeded) except -1:
        cdef uint64_t check = self.check_of(name)
        cdef Entry* entry = self.slot(<uint64_t>PyObject_Hash(name) | 1, check)
        entry.payload = (
            DONE | (GROUP if group else 0) | (SUCCEEDED if succeeded else 0)
            | (<uint64_t>status << STATUS_SHIFT) | (check << CHECK_SHIFT)
        )
        return 0

    cdef int grow(self, Shard* shard) except -1:
        """Half as large again: 64 shards that grow by turns never need the whole index twice."""
        cdef uint64_t capacity = 16 if shard.capacity == 0 else shard.capacity + shard.capacity // 2
        cdef Entry* entries = <Entry*>calloc(capacity, sizeof(Entry))
        cdef uint64_t i, at
        if entries == NULL:
            raise MemoryError()
        for i in range(shard.capacity):
            if shard.entries[i].hash != 0:
                at = shard.entries[i].hash % capacity
                while entries[at].hash != 0:
                    at += 1
                    if at == capacity:
                        at = 0
                entries[at] = shard.entries[i]
        free(shard.entries)
        shard.entries = entries
        shard.capacity = capacity
        return 0

    # --- for tests

    def put(self, bytes name not None, object pending not None, bint group=False):
        """insert(): True when the name was new. The index holds no reference: the caller keeps `pending` alive."""
        return self.insert(name, pending, group) == FOUND_NOTHING

    def end(self, bytes name not None, int status, bint succeeded):
        """finish() of a name that is there; KeyError otherwise."""
        cdef int kind = self.find(name)
        self.found = None
        if kind == FOUND_NOTHING:
            raise KeyError(name)
        self.finish(name, kind == FOUND_GROUP or kind == FOUND_DONE_GROUP, status, succeeded)

    def look(self, bytes name not None):
        """find() as (kind, pending or None, succeeded, status); kind: "", "call" or "group"."""
        cdef int kind = self.find(name)
        found, self.found = self.found, None
        done = kind == FOUND_DONE_CALL or kind == FOUND_DONE_GROUP
        return (
            "" if kind == FOUND_NOTHING else "call" if kind == FOUND_CALL or kind == FOUND_DONE_CALL else "group",
            found, self.succeeded if done else None, self.status if done else None,
        )
