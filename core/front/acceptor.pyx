"""Tells what a stream is: a method of BatchService, another gRPC method, or an HTTP request.

`servicer` is the service behind: see rpc.pyx and batch_rpc.pyx for what it does for calls, http_requests.pyx for what it
does for HTTP requests; servicer.methods has the gRPC methods in Python by their paths (python_rpc.pyx).
"""
from batchwire.core.errors import EnvelopeError
from batchwire.core.front.batch_rpc cimport BatchRpc, KIND_BATCH, KIND_EXECUTE, KIND_HTTP, KIND_JSON
from batchwire.core.front.http2 cimport Acceptor
from batchwire.core.front.http2_stream cimport Http2Stream
from batchwire.core.front.http_requests cimport answer_of
from batchwire.core.front.python_rpc import PythonCalls, PythonRpc
from batchwire.core.front.rpc cimport Rpc, STATUS_UNIMPLEMENTED
from batchwire.core.front.rpc_opener cimport RpcOpener
from batchwire.core.front.stream cimport Handler

from batchwire.core.front.http2_callbacks import prepare

KINDS = {"Execute": <int>KIND_EXECUTE, "Batch": <int>KIND_BATCH, "BatchJson": <int>KIND_JSON,
         "BatchHttp": <int>KIND_HTTP}
"""The methods of BatchService."""

prepare()

cdef bytes GRPC = b"application/grpc"


cdef bint is_grpc(bytes media) except -1:
    return media == GRPC or (media.startswith(GRPC) and media[16:17] in (b"+", b";"))


cdef bytes codec_of(bytes media):
    """What follows application/grpc unless it is a parameter: "+proto"."""
    return b"" if media == GRPC or media[16:17] == b";" else media[16:]


cdef class FrontAcceptor(Acceptor):
    """service: full name of BatchService. For the other arguments see Acceptor."""
    cdef object servicer
    cdef RpcOpener opener
    cdef Py_ssize_t max_message
    cdef dict kinds, others
    cdef object calls                         # PythonCalls

    def __init__(self, loop, servicer, str service not None, **bounds):
        super().__init__(loop, **bounds)
        self.servicer = servicer
        self.opener = servicer.opener
        self.max_message = servicer.max_message
        self.kinds = {f"/{service}/{name}".encode(): kind for name, kind in KINDS.items()}
        self.others = {path.encode(): method for path, method in servicer.methods.items()}
        self.calls = PythonCalls(loop)

    def end_methods(self):
        """Calls of methods in Python that wait for something end as UNAVAILABLE."""
        self.calls.stop()

    cdef Handler accept(self, Http2Stream stream):
        cdef bytes media = stream.content_type
        if is_grpc(media) and stream.method == b"POST":
            return self.rpc(stream)
        return answer_of(self.servicer, stream)

    cdef Rpc rpc(self, Http2Stream stream):
        cdef object kind = self.kinds.get(stream.path)
        cdef object method = self.others.get(stream.path) if kind is None else None
        cdef Rpc rpc
        if kind is not None:
            rpc = BatchRpc.of(self.servicer, self.opener, self.max_message, kind)
        elif method is not None:
            rpc = PythonRpc(self.servicer, self.calls, method)
        else:
            rpc = Rpc.__new__(Rpc)
            rpc.expect(self.servicer, self.max_message)
        rpc.stream = stream
        try:
            if codec_of(stream.content_type) not in (b"", b"+proto"):
                raise EnvelopeError(501, "UnknownEncoding", "messages are application/grpc+proto")
            rpc.begin(stream)
            if kind is None and method is None:
                rpc.set_status(STATUS_UNIMPLEMENTED, "there is no such method", None)
                rpc.answer()
            elif method is not None:
                rpc.start()
        except EnvelopeError as error:
            rpc.fail(error)
        return rpc
