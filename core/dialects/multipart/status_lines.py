"""Reason phrases of inner status lines. Clients look for one, so none may ever be empty (PR-07)."""

from http import HTTPStatus

_CLASSES = {1: "Informational", 2: "Success", 3: "Redirection", 4: "Client Error", 5: "Server Error"}


def reason_of(status: int) -> str:
    """The phrase that belongs to a status code, or a general one for its class."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return _CLASSES.get(status // 100, "Unknown")


def status_lines() -> list[bytes]:
    """By status code from 0 to 599: "200 OK", with its line end."""
    return [f"{status} {reason_of(status)}\r\n".encode() for status in range(600)]
