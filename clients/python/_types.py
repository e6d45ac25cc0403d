"""What calls and clients may be made of, checked where it is given: deep inside, a str would pass for a list of its
letters, and what gRPC raises names nothing."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import grpc

_LONGEST = 10 * 365 * 24 * 3600
_METADATA_NAME = re.compile(r"[0-9A-Za-z_.-]+")


def check(call: Any) -> None:
    """Raises TypeError for a Call with a member of the wrong type, ValueError for one that cannot be sent."""
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
    checked_seconds(call.timeout, "Call.timeout")
    if call.json is not None and not isinstance(call.json, dict | list | tuple | str | int | float):
        raise TypeError(f"Call.json must be what JSON has a form for, not {type(call.json).__name__}")
    if call.body is not None and call.json is not None:
        raise ValueError("a call has either body or json")
    for name in ("url", "method", "id", "atomicity_group", "condition", "body"):
        check_texts([getattr(call, name)], f"Call.{name}")
    check_texts(names, "Call.depends_on")
    check_texts((text for pair in pairs_of(call.headers) for text in pair), "Call.headers")


def check_texts(values: Iterable[Any], name: str) -> None:
    """Raises ValueError for text that has no UTF-8; what is no text passes."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                half = value[error.start]
                raise ValueError(
                    f"{name} cannot be sent: {half!r} at {error.start} is half of a surrogate pair"
                ) from None


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


def pairs_of(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The (name, value) pairs of what is_pairs()."""
    return list(headers.items()) if isinstance(headers, Mapping) else headers


def checked_route(route: Any) -> str:
    """The service root of a route, or "". Raises TypeError, ValueError."""
    if not isinstance(route, str):
        raise TypeError(f"route must be a str, not {type(route).__name__}")
    check_texts([route], "route")
    return route


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


def checked_credentials(credentials: Any) -> Any:
    """What grpc.ssl_channel_credentials() gives, or None. Raises TypeError."""
    if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials):
        raise TypeError(f"credentials must be grpc.ChannelCredentials or None, not {type(credentials).__name__}")
    return credentials


def checked_seconds(seconds: Any, name: str) -> float | None:
    """Seconds above 0 that gRPC and protobuf can say, or None. Raises TypeError, ValueError."""
    if seconds is None:
        return None
    if not is_number(seconds):
        raise TypeError(f"{name} must be seconds (int or float) or None, not {type(seconds).__name__}")
    if not 0 < seconds <= _LONGEST:  # NaN is in no range
        raise ValueError(f"{name} must be above 0 and at most {_LONGEST} seconds, not {seconds}; None: none")
    return float(seconds)


def checked_switch(value: Any, name: str) -> bool:
    """True or False, and nothing that passes for one of them. Raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r:.100}")
    return value


def checked_target(target: Any) -> str:
    """host:port, or what else gRPC takes, but no URL. Raises TypeError, ValueError."""
    if not isinstance(target, str):
        raise TypeError(f"the target must be a str, host:port, not {type(target).__name__}")
    if not target:
        raise ValueError("the target is empty; it is host:port")
    if target.startswith(("http://", "https://")):
        raise ValueError(f"the target of a gRPC client is host:port, not a URL such as {target}")
    return target
