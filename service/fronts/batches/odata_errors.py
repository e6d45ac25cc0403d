"""The OData error object that every front answers with (ER-01, ER-02).

It must never carry a traceback, an upstream's body or more of the client's input than an id.
"""

import json

ERROR_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"application/json"),
    (b"content-language", b"en"),
)


def error_body(code: str, message: str, target: str = "") -> bytes:
    """UTF-8 JSON `{"error":{"code":…,"message":…[,"target":…]}}`; code and message are never empty."""
    error = {"code": code or "Error", "message": message or "The batch was refused."}
    if target:
        error["target"] = target
    return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode()
