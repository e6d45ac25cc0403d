"""The token endpoint of the SDK API. It exists because the SDKs ask for a token before anything else.

There is no authentication: whoever asks gets a token, and no call is ever asked for one. It keeps nothing; it must
never store, log or answer what a client gave as its secret.
"""

import secrets
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .bodies import read_bytes
from .errors import ApiError

MAX_FORM_BYTES = 8192
VALID_SECONDS = 86400


async def token(request: Request) -> Response:
    """Answers a client_credentials grant with a random token."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ApiError(415, "UnsupportedMediaType", "the body must be application/x-www-form-urlencoded")
    form = await read_bytes(request, MAX_FORM_BYTES)
    try:
        fields = parse_qs(form.decode("ascii"), max_num_fields=16)
    except ValueError:
        raise ApiError(400, "InvalidForm", "the form cannot be read") from None
    if fields.get("grant_type") != ["client_credentials"] or not fields.get("client_id"):
        raise ApiError(400, "InvalidForm", "the form must have grant_type=client_credentials and a client_id")
    answer = {"access_token": secrets.token_urlsafe(24), "token_type": "bearer", "expires_in": VALID_SECONDS}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})
