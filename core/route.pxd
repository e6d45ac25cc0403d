from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.header_rules cimport HeaderRules
from batchwire.core.upstream.base cimport Upstream

cdef class Route:
    cdef readonly bytes root
    cdef readonly Upstream upstream
    cdef readonly list mounts               # [(prefix below the root, Upstream)], longest first
    cdef readonly Limits limits
    cdef readonly Py_ssize_t streaming_threshold
    cdef readonly str inner_authorization
    cdef readonly HeaderRules header_rules
    cdef readonly bint bare_batch           # `batch` below the root is an address of batches, too
    cdef readonly list prefixes             # of the mounts, below the root
    cdef readonly bint flat_change_sets
    cdef readonly bint transactional        # an upstream of it can run a group as one
    cdef Upstream upstream_of(self, bytes rest, Py_ssize_t* cut)
