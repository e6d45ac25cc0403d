"""What can go wrong with a batch as a whole, and with one result. Must never carry a body."""

from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


class ClientError(Exception):
    """Base of all errors of the client."""


class BatchError(ClientError):
    """The batch was refused, or its RPC ended before all results came.

    code: the gRPC status. reason: the gateway's short name for what is wrong ("DuplicateId"), or "". field: where
    ("requests[3].id"), or "".
    """

    def __init__(self, code: grpc.StatusCode, message: str, reason: str = "", field: str = "") -> None:
        super().__init__(f"{code.name}: {message}" + (f" [{field}]" if field else ""))
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field


class ResultError(ClientError):
    """A result whose status is not 2xx (Result.raise_for_status)."""

    def __init__(self, id: str, status: int, message: str) -> None:
        super().__init__(f"call {id}: {status} {message}".rstrip())
        self.id = id
        self.status = status


def batch_error(error: Any) -> BatchError:
    """The BatchError of an RpcError or AioRpcError, with google.rpc.Status details where there are any."""
    reason = field = ""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            for detail in status_pb2.Status.FromString(value).details:
                info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
                if detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(bad) and bad.field_violations:
                    field = bad.field_violations[0].field
    return BatchError(error.code(), error.details() or "", reason, field)
