"""What calls and clients may be made of, checked where it is given: deep inside, a str would pass for a list of its
letters, and what gRPC raises names nothing."""

import re
from collections.abc import Collection, Mapping
from typing import Any

_METADATA_NAME = re.compile(r"[0-9A-Za-z_.-]+")


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


def metadata_of(fields: Any) -> list[tuple[str, str | bytes]]:
    """What a client sends with every batch, as gRPC wants it. Raises TypeError, ValueError."""
    pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise TypeError("metadata must be a mapping, or pairs of a name (str) and a value")
    for name, value in pairs:
        if not _METADATA_NAME.fullmatch(name):
            raise ValueError(f"metadata: {name!r} is no name of a header")
        if not isinstance(value, bytes if name.lower().endswith("-bin") else str):
            raise TypeError(f"metadata: {name} must be {'bytes' if name.lower().endswith('-bin') else 'a str'}")
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            raise ValueError(f"metadata: {name} must be printable ASCII")
    return [(name.lower(), value) for name, value in pairs]


def checked_target(target: str) -> str:
    """host:port, or what else gRPC takes, but no URL. Raises ValueError."""
    if target.startswith(("http://", "https://")):
        raise ValueError(f"the target of a gRPC client is host:port, not a URL such as {target}")
    return target
