"""Where batches come from, so that those of one connection do not take from others what is left for who comes later.

Must never be the only bound: a proxy may bring the batches of many clients over one connection, and a client may have many.
"""
from weakref import WeakValueDictionary

cdef object known = WeakValueDictionary()   # str -> Origin
cdef dict references = known.data


cdef Origin origin_of(str peer):
    """The one of this peer; peer: as the log has it. Of a UNIX socket each is one of its own: it tells no client."""
    cdef object reference = references.get(peer)
    cdef Origin found = None if reference is None else reference()
    if found is None:
        found = Origin.__new__(Origin)
        if not peer.startswith("unix"):
            known[peer] = found
    return found
