"""What a call may be made of, checked where it is given: deep inside, a str would pass for a list of its letters."""

from collections.abc import Collection, Mapping
from typing import Any


def check(call: Any) -> None:
    """Raises TypeError for a Call with a member of the wrong type."""
    for name in ("url", "method", "id", "atomicity_group"):
        if not isinstance(value := getattr(call, name), str):
            raise TypeError(f"Call.{name} must be a str, not {type(value).__name__}")
    names = call.depends_on
    if isinstance(names, str) or not isinstance(names, Collection) or not all(isinstance(one, str) for one in names):
        raise TypeError(f"Call.depends_on must be a list or tuple of ids (str), not {names!r:.100}")
    if not is_pairs(call.headers):
        raise TypeError("Call.headers must be a mapping of str to str, or pairs of str")
    if call.body is not None and not isinstance(call.body, bytes | str):
        raise TypeError(f"Call.body must be bytes, str or None, not {type(call.body).__name__}")
    if call.condition is not None and not isinstance(call.condition, str):
        raise TypeError(f"Call.condition must be a str or None, not {type(call.condition).__name__}")
    if call.timeout is not None and not is_number(call.timeout):
        raise TypeError(f"Call.timeout must be seconds (int or float) or None, not {type(call.timeout).__name__}")


def is_number(value: object) -> bool:
    """Whether it is a number of seconds; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_pairs(headers: Any) -> bool:
    """Whether these are header fields: a mapping, or (name, value) pairs."""
    if isinstance(headers, Mapping):
        return all(isinstance(text, str) for pair in headers.items() for text in pair)
    return (
        isinstance(headers, Collection)
        and not isinstance(headers, str | bytes)
        and all(
            isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            for pair in headers
        )
    )
