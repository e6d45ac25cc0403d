"""Errors of the demo API and how they are answered.

Every failure leaves as `{"error": {"code": "...", "message": "..."}}` with a fitting status; another API of
the same app may give its errors another shape. A message must never hold a path of the machine, a traceback
or bytes of somebody's document.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

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
    """The shape in which errors are answered."""
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status, {"Content-Language": "en", **(headers or {})})


Shape = Callable[[int, str, str, dict[str, str] | None], Response]
"""Makes the answer of an error from status, code, message and further headers."""


def handlers(shape: Shape) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """The exception handlers of an app whose errors have this shape."""

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return shape(error.status, error.code, error.message, None)

    async def routing_error(request: Request, error: Exception) -> Response:
        """404 and 405 found by the router; a 405 keeps its `Allow` header."""
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "RequestFailed")
        return shape(error.status_code, code, str(error.detail), dict(error.headers or {}))

    async def disconnect(request: Request, error: Exception) -> Response:
        """The client left while its body was being read; nobody sees this answer."""
        return Response(status_code=400)

    async def failure(request: Request, error: Exception) -> Response:
        """A defect of ours: the server logs the traceback, the client learns only that it happened."""
        return shape(500, "InternalError", "the demo failed to process the request", None)

    return {ApiError: api_error, HTTPException: routing_error, ClientDisconnect: disconnect, Exception: failure}
