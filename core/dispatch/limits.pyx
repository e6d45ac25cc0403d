"""The bounds of one batch. Every buffer and queue of the core has its bound here."""
from batchwire.core.errors import ConfigError, EnvelopeError
from batchwire.core.model cimport Call
from cpython.bytes cimport PyBytes_GET_SIZE


cdef class Limits:
    """
    max_calls, max_request_bytes: of a batch; 0: none. max_call_bytes: one call in its dialect.
    max_response_bytes: body of one answer. max_depth: nesting of JSON. max_header_bytes: of one call or answer, and of a URL.
    max_in_flight: calls of one batch that run at once. max_pending: calls read and not finished.
    max_pending_bytes: that they hold (PL-02), filled in where they refer to results; one call may stand out.
    max_request_bytes_in_process: of the requests of all batches, read and not finished, above which one of them is read on (PL-13).
    output_high_bytes: results not yet taken, above which no further call starts.
    max_answer_bytes_in_flight: of the answers of one batch being read and its results not taken, above which one answer
    at a time is read on; max_answer_bytes_in_process: the same of all batches.
    reference_bytes: kept of finished calls for those that refer to them (a streamed batch);
    max_reference_bytes_in_process: the same of all batches.
    reorder_bytes, reorder_results: the window of GW-23. max_hops: gateways a batch may pass through.
    batch_deadline_seconds: 0: none. client_idle_seconds: a client that neither sends nor takes is cut.
    min_request_rate: bytes a second of a document that has begun, 0: any. max_batches_per_client: of one address.
    max_group_calls: of one atomicity group that is to run as one. max_calls_per_message: of one protobuf message, which is checked whole.
    """

    def __init__(self, *, unsigned long long max_calls=0, unsigned long long max_request_bytes=0,
                 Py_ssize_t max_call_bytes=16 << 20, Py_ssize_t max_response_bytes=16 << 20, int max_depth=64,
                 Py_ssize_t max_header_bytes=32768, int max_in_flight=64, int max_pending=1024,
                 double batch_deadline_seconds=0, double client_idle_seconds=60, int max_batches=1000,
                 int max_batches_per_client=0, double min_request_rate=0,
                 Py_ssize_t grpc_max_message_bytes=4 << 20, Py_ssize_t output_high_bytes=1 << 20,
                 Py_ssize_t max_answer_bytes_in_flight=32 << 20, Py_ssize_t max_answer_bytes_in_process=128 << 20,
                 Py_ssize_t reference_bytes=8 << 20, Py_ssize_t max_reference_bytes_in_process=64 << 20,
                 Py_ssize_t reorder_bytes=8 << 20, int reorder_results=1024,
                 Py_ssize_t max_pending_bytes=64 << 20,
                 Py_ssize_t max_request_bytes_in_process=128 << 20, int max_hops=4, int max_calls_per_message=16384,
                 int max_group_calls=1000):
        if min(max_call_bytes, max_response_bytes, max_depth, max_header_bytes, max_in_flight, max_pending, max_pending_bytes,
               max_request_bytes_in_process,
               output_high_bytes, max_answer_bytes_in_flight, max_answer_bytes_in_process,
               max_reference_bytes_in_process, reorder_bytes, reorder_results, max_hops, max_calls_per_message,
               max_group_calls) < 1:
            raise ConfigError("every limit that is not optional must be at least 1")
        self.max_calls = max_calls
        self.max_request_bytes = max_request_bytes
        self.max_call_bytes = max_call_bytes
        self.max_response_bytes = max_response_bytes
        self.max_depth = max_depth
        self.max_header_bytes = max_header_bytes
        self.max_in_flight = max_in_flight
        self.max_pending = max_pending
        self.max_pending_bytes = max_pending_bytes
        self.max_request_bytes_in_process = max_request_bytes_in_process
        self.batch_deadline_seconds = batch_deadline_seconds
        self.client_idle_seconds = client_idle_seconds
        self.max_batches = max_batches
        self.grpc_max_message_bytes = grpc_max_message_bytes
        self.output_high_bytes = output_high_bytes
        self.max_answer_bytes_in_flight = max_answer_bytes_in_flight
        self.max_answer_bytes_in_process = max_answer_bytes_in_process
        self.reference_bytes = reference_bytes
        self.max_reference_bytes_in_process = max_reference_bytes_in_process
        self.reorder_bytes = reorder_bytes
        self.reorder_results = reorder_results
        self.max_hops = max_hops
        self.max_group_calls = max_group_calls
        self.max_calls_per_message = max_calls_per_message
        self.max_batches_per_client = max_batches_per_client
        self.min_request_rate = min_request_rate

    cdef int refuse_long_url(self, Call call) except -1:
        """A URL that is longer than it may be; nothing else is said of it then."""
        if PyBytes_GET_SIZE(call.url) > self.max_header_bytes:
            call.refuse(400, "UrlTooLong",
                        f"a URL must not have more than {self.max_header_bytes} bytes (limits.max_header_bytes)")
            call.url = b""
        return 0

    def batch_too_large(self):
        """The error of a batch above max_request_bytes."""
        return EnvelopeError(
            413, "BatchTooLarge",
            f"the batch is larger than limits.max_request_bytes ({self.max_request_bytes} bytes)")

    def too_many_calls(self):
        """The error of a batch above max_calls."""
        return EnvelopeError(
            400, "TooManyCalls", f"a batch must not have more than {self.max_calls} calls (limits.max_calls)")
