"""The errors that the core raises to its callers. Must never carry a traceback or a body to a client."""

import json

MAX_QUOTED = 100
"""Characters of what a client sent that an error quotes (FR-11)."""


def quoted(said: str | bytes) -> str:
    """What a client sent, as much of it as an error may say."""
    text = said if isinstance(said, str) else said[: 4 * MAX_QUOTED].decode("utf-8", "replace")
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def error_object(code: str, message: str, target: str = "") -> bytes:
    """UTF-8 JSON `{"error":{"code":…,"message":…[,"target":…]}}` (ER-01)."""
    error = {"code": code, "message": message}
    if target:
        error["target"] = target
    return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode()


class BatchwireError(Exception):
    """Base of all errors of the core."""


class EnvelopeError(BatchwireError):
    """The batch itself is broken, so its results could not be told apart (GW-01, GW-21).

    status: HTTP status of a whole-batch answer (400, 408, 413, 429, 508).
    code: short machine-readable name, such as "DuplicateId".
    message: one sentence for a person; what it quotes goes through quoted().
    target: where in the batch, such as "requests[3].id", or "".
    route: root of the route that has refused it, "" where none is known; for logs.
    started: calls that had been started by then; 0: nothing has been done.
    """

    def __init__(self, status: int, code: str, message: str, target: str = "", route: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.route = route
        self.started = 0

    def again(self) -> "EnvelopeError":
        """The same, for whoever raises what a batch keeps: a traceback leads to frames that lead to the batch, and the
        cycle would keep what they have of a message until the garbage collector comes."""
        other = EnvelopeError(self.status, self.code, self.message, self.target, self.route)
        other.started = self.started
        return other


class ConfigError(BatchwireError):
    """A setting given to the core is out of range or contradictory."""


class BadUpstreamBody(BatchwireError):
    """The body of an upstream's answer to a GET is beyond a bound of the dialect (inner 502, AN-03).

    message: one sentence for a person; never quotes the body.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
