"""The head of a batch in the document dialect: `PUT {root}batch`, as the SDKs of a document API send it.

Pure, as negotiation.py. Must never tell more of an error than its code, its message and its place in the batch.
"""

import json
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from .concurrent import accepted, fields_of
from .media import parse_media_type
from .negotiation import MOST_ELEMENTS, Accepted, OuterRequest, Policy, Refusal, RefusedError, request_boundary

_MULTIPART = ("multipart/form-data", "multipart/mixed")
_BARE = "application/http"


def root_of(method: str, path: str, _media_type: str) -> str | None:
    """The service root, when the request is a batch of this dialect."""
    return path[: -len("batch")] if method == "PUT" and path.endswith("/batch") else None


def error_body(code: str, message: str, target: str) -> bytes:
    """The error object that the SDKs read; which call it is about stands in the only field that they leave for more."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    error = {
        "Code": code,
        "Message": message,
        "Description": f"{target}: {message}" if target else message,
        "DateTime": now,
    }
    return json.dumps({"RequestId": str(uuid.uuid4()), "Error": error}, ensure_ascii=False).encode()


def negotiate(request: OuterRequest, policy: Policy) -> Accepted | Refusal:
    """Decides on the head of a batch whose path has already led to a route."""
    try:
        return _negotiate(request, policy)
    except RefusedError as error:
        return Refusal(error.status, error.code, error.message, ((b"content-type", b"application/json"),), error_body)


def _negotiate(request: OuterRequest, policy: Policy) -> Accepted:
    fields = fields_of(request, policy)
    media_type, parameters = parse_media_type(fields.get("content-type", ""))
    if media_type in _MULTIPART:
        boundary = request_boundary(fields)
    elif media_type == _BARE and parameters.get("msgtype", "request").lower() == "request":
        boundary = None  # one part alone is sent as it is
    else:
        raise RefusedError(415, "UnsupportedMediaType", "A batch must be multipart/form-data or multipart/mixed.")
    last_only = _option(request.query, "displayintermediateresults") == "false"
    return accepted("document", request, policy, fields, boundary, last_only=last_only, form=error_body)


def _option(query: bytes, name: str) -> str:
    """A query option in lower case; names in any case."""
    if query.count(b"&") >= MOST_ELEMENTS:
        raise RefusedError(414, "TooManyElements", f"The query must not have more than {MOST_ELEMENTS} options.")
    for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if key.lower() == name:
            return value.lower()
    return ""
