"""The forms in which the SDK API answers.

JSON carries a RequestId, errors are `{"RequestId": ..., "Error": {...}}`, and a call that changes a document which
came with it is answered in two parts, Model and Document. A success is always 200: in a batch these SDKs take any
other status for a failure. Must never name anything of the machine.
"""

import json
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from .storage_api import DOCX
from .words import Json

_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


def error_answer(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error."""
    error = {
        "Code": code,
        "Message": message,
        "Description": HTTPStatus(status).phrase,
        "DateTime": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return JSONResponse({"RequestId": str(uuid4()), "Error": error}, status, headers)


def model_answer(body: Json, etag: str | None = None) -> JSONResponse:
    """A success with a model."""
    return JSONResponse(_with_id(body), headers={"ETag": etag} if etag else None)


def empty_answer() -> Response:
    """A success with nothing to say."""
    return Response(b"")


def file_answer(media_type: str, data: bytes, etag: str | None = None) -> Response:
    """A success with the bytes of a document."""
    return Response(data, media_type=media_type, headers={**_SAFE, **({"ETag": etag} if etag else {})})


def changed_document_answer(body: Json, data: bytes) -> Response:
    """A success with a model and the changed document. One of the SDKs reads the boundary only if it is quoted."""
    boundary = uuid4().hex
    parts = (
        ('name="Model"', "application/json", json.dumps(_with_id(body)).encode()),
        ('name="Document"; filename="document.docx"', DOCX, data),
    )
    out = bytearray()
    for place, kind, content in parts:
        head = f"--{boundary}\r\nContent-Disposition: form-data; {place}\r\nContent-Type: {kind}\r\n\r\n"
        out += head.encode() + content + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return Response(bytes(out), headers={**_SAFE, "Content-Type": f'multipart/mixed; boundary="{boundary}"'})


def _with_id(body: Json) -> Json:
    return {"RequestId": str(uuid4()), **body}
