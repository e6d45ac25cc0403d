from batchwire.core.model cimport Call

cdef class Limits:
    cdef readonly unsigned long long max_calls, max_request_bytes
    cdef readonly Py_ssize_t max_call_bytes, max_response_bytes, max_header_bytes
    cdef readonly Py_ssize_t max_answer_bytes_in_flight, max_answer_bytes_in_process
    cdef readonly Py_ssize_t max_request_bytes_in_process
    cdef readonly Py_ssize_t output_high_bytes, reference_bytes, max_reference_bytes_in_process, reorder_bytes, max_pending_bytes
    cdef readonly int max_depth, max_in_flight, max_pending, reorder_results, max_hops, max_batches, max_group_calls
    cdef readonly int max_calls_per_message
    cdef readonly double batch_deadline_seconds, client_idle_seconds, min_request_rate
    cdef readonly int max_batches_per_client
    cdef readonly Py_ssize_t grpc_max_message_bytes
    cdef int refuse_long_url(self, Call call) except -1
