"""The OData error object that every front answers with (ER-01, ER-02).

It must never carry a traceback, an upstream's body or more of the client's input than an id.
"""

from batchwire.core.errors import error_object

ERROR_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"application/json"),
    (b"content-language", b"en"),
)


def error_body(code: str, message: str, target: str = "") -> bytes:
    """UTF-8 JSON `{"error":{"code":…,"message":…[,"target":…]}}`; code and message are never empty."""
    return error_object(code or "Error", message or "The batch was refused.", target)
