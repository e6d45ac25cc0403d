from batchwire.core.front.rpc cimport Rpc
from batchwire.core.front.rpc_opener cimport RpcOpener
from batchwire.core.ledger cimport Batch
from batchwire.core.session.session cimport Session

cdef enum Kind:
    KIND_EXECUTE = 0
    KIND_BATCH = 1
    KIND_JSON = 2             # and what follows: documents in HttpBody messages
    KIND_HTTP = 3

cdef class BatchRpc(Rpc):
    cdef int kind
    cdef RpcOpener opener
    cdef Batch batch                        # None before the first message and behind the last
    cdef Session session                    # None before the first message
    cdef bytes content_type                 # of the answer's documents, or None
    cdef list metadata                      # initial metadata, or None
    cdef bint whole                         # Execute: the prefix of the one message has been made

    @staticmethod
    cdef BatchRpc of(object servicer, RpcOpener opener, Py_ssize_t max_message, int kind)
    cdef int open(self, bytes first) except -1
    cdef int refused(self, object error) except -1
    cdef int check_end(self) except -1
    cdef int close(self, str ended) except -1
    cdef int wrap(self, Py_ssize_t n) except -1
