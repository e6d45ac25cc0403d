"""Errors of the demo API and how they are answered.

Every failure leaves as `{"error": {"code": "...", "message": "..."}}` with a fitting status. A
message must never hold a path of the machine, a traceback or bytes of somebody's document.
"""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

log = logging.getLogger("batchwire.demo")

_CODES = {404: "NotFound", 405: "MethodNotAllowed"}


class ApiError(Exception):
    """A refusal with an HTTP `status`, a stable machine-readable `code` and a `message` for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def error_response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one shape in which errors are answered."""
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status, {"Content-Language": "en", **(headers or {})})


async def answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error.status, error.code, error.message)


async def answer_routing_error(request: Request, error: Exception) -> Response:
    """404 and 405 found by the router; a 405 keeps its `Allow` header."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "RequestFailed")
    return error_response(error.status_code, code, str(error.detail), dict(error.headers or {}))


async def answer_disconnect(request: Request, error: Exception) -> Response:
    """The client left while its body was being read; nobody sees this answer."""
    return Response(status_code=400)


async def answer_failure(request: Request, error: Exception) -> Response:
    """A defect of ours: the server logs the traceback, the client learns only that it happened."""
    return error_response(500, "InternalError", "the demo failed to process the request")


HANDLERS = {
    ApiError: answer_api_error,
    HTTPException: answer_routing_error,
    ClientDisconnect: answer_disconnect,
    Exception: answer_failure,
}
