"""What single values of the configuration may be: a validator for each kind, and the types that stand for them.

A value that can never have an effect is refused, for whoever wrote it expects one.
"""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import unquote, urlsplit

from batchwire.core import header_verdict
from pydantic import AfterValidator, BeforeValidator, Field

from .config_errors import shown
from .fronts.batches.inheritance import may_forward

_YEAR = 31_536_000
LARGEST = (1 << 31) - 1
Seconds = Annotated[float, Field(gt=0, le=_YEAR, allow_inf_nan=False)]
Seconds0 = Annotated[float, Field(ge=0, le=_YEAR, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Count0 = Annotated[int, Field(ge=0, le=LARGEST)]
Bytes = Annotated[int, Field(ge=1, le=1 << 62)]
Bytes0 = Annotated[int, Field(ge=0, le=1 << 62)]
_UNIX_PATH = 107  # bytes; sun_path of unix(7)
_HOST = re.compile(r"(?:[A-Za-z0-9.\-_~%!$&'()*+,=]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")  # as of a Host that is taken
_PASSED = re.compile(r"systemd:[!-9;-~]{1,255}")  # FileDescriptorName= of systemd.socket(5)
_HIGHEST_PORT = 65535
_PORTS = {"http": 80, "https": 443}
URL_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+")  # RFC 3986, 3.3


def _address(value: str) -> str:
    """HOST:PORT, [IPV6]:PORT, unix:/path, systemd:NAME, or "" for none."""
    if _PASSED.fullmatch(value):
        return value
    if value.startswith("unix:/"):
        _socket_path(value)
    if value == "" or value.startswith("unix:/"):
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > _HIGHEST_PORT:
        raise ValueError("must be HOST:PORT, unix:/path, systemd:NAME, or empty")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("must have an IPv6 address in brackets, as in [::1]:50051")
    if host.startswith("[") and not _is_address(host[1:-1]):
        raise ValueError(f"must have an IPv6 address in the brackets (was {shown(value)})")
    return value


def _is_address(value: str) -> bool:
    try:
        return bool(ip_address(value))
    except ValueError:
        return False


def kept_batches(value: object) -> object:
    """One error for a value of either kind."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("all", "failed") or (is_number and 0 <= value <= 1):  # type: ignore[operator]
        return value
    raise ValueError("must be 'all', 'failed' or a number from 0 to 1")


def is_host_port(value: str) -> bool:
    try:
        return bool(_address(value)) and not value.startswith(("unix:", "systemd:"))
    except ValueError:
        return False


def _socket_path(value: str) -> None:
    if len(value.removeprefix("unix:").encode()) > _UNIX_PATH or "\0" in value:
        raise ValueError(f"the path of a UNIX socket has at most {_UNIX_PATH} bytes")


def _root(value: str) -> str:
    """A path as it stands in URLs, with "/" at both ends; the last one may be left out."""
    if not value.startswith("/"):
        raise ValueError('must be a path that begins with "/"')
    if "$" in value:
        raise ValueError("must hold no $: $batch is no part of it, batches are taken right below it")
    if "?" in value or "#" in value:
        raise ValueError("must be a path without query or fragment")
    if "//" in value:
        raise ValueError("must hold no empty segment (//)")
    if has_dot_segment(value):
        raise ValueError("must hold no segment . or ..: a URL never keeps them")
    if not URL_PATH.fullmatch(value):
        raise ValueError("must be written as in a URL, white space and the like percent-encoded")
    return value if value.endswith("/") else value + "/"


def has_dot_segment(path: str) -> bool:
    return any(unquote(segment) in (".", "..") for segment in path.split("/"))


def _field_value(value: str) -> str:
    if any(c <= " " or c == "\x7f" for c in value):
        raise ValueError("must not hold white space or control characters")
    return value


def _host_header(value: str) -> str:
    found = _HOST.fullmatch(_field_value(value))
    if value and (found is None or int(found[1] or 0) > _HIGHEST_PORT):
        raise ValueError(f"must be HOST or HOST:PORT, an IPv6 address in brackets (was {shown(value)})")
    return value


def _server_name(value: str) -> str:
    if "/" in value or (":" in value and not _is_address(value)):
        raise ValueError(f"must be a name or an address, without a port (was {shown(value)})")
    return _field_value(value)


def _origin(value: str) -> str:
    found = re.fullmatch(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", value)
    if value and (found is None or not 0 < int(found[1] or 1) <= _HIGHEST_PORT):
        raise ValueError(f"must be http(s)://host[:port] (was {shown(value)})")
    return value.lower()


def _page_origin(value: str) -> str:
    """As a browser says it in Origin, with which it is compared byte for byte; "*" and "null" are also said."""
    value = value.lower()
    found = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", value)
    if value not in ("*", "null") and (found is None or not 0 < int(found[2] or 1) <= _HIGHEST_PORT):
        raise ValueError(f'must be scheme://host[:port] without a path, or "*" (was {shown(value)})')
    if found is not None and found[2] is not None and int(found[2]) == _PORTS.get(found[1]):
        raise ValueError(f"must be without the port of {found[1]}, which browsers leave out (was {shown(value)})")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _origins(values: list[str]) -> list[str]:
    return [_origin(one) for one in values if one]


def _header_patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?|\*", name):
            raise ValueError(f"{name!r} is no name of a header, nor the beginning of one and *")
    return names


def _screened_headers(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in _header_patterns(names):
        if not name.endswith("*") and header_verdict(name.encode()) not in ("pass", "drop"):
            raise ValueError(f"{name} is a header that a call needs, or is refused for")
    return names


def _dropped_headers(names: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in names:
        raise ValueError("* would drop every header of every call: name the headers, or how they begin")
    return _screened_headers(names)


def _forwarded_headers(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in _header_patterns(names):
        if not may_forward(name.lower()):
            raise ValueError(f"{name} is of the batch as a whole, or has a rule or a key of its own")
    return names


def _network(value: str) -> str:
    """An address or a network, or "unix"."""
    if value != "unix":
        try:
            ip_network(value)
        except ValueError:
            raise ValueError("must be an address, a network (no bits beyond its mask), or unix") from None
    return value


def _names_server(url: str) -> bool:
    """Whether an http(s) URL has a host, and a port that one can connect to, if any."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _upstream_url(value: str) -> str:
    value = _field_value(value)
    if value and not value.startswith(("http://", "https://", "unix:/")):
        raise ValueError("must begin with http://, https:// or unix:/")
    if value.startswith("http") and not _names_server(value):
        raise ValueError("must name a host, and a port from 1 to 65535 if any")
    if value.startswith("unix:"):
        _socket_path(value)
    return value


def _app_name(value: str) -> str:
    if value and ":" not in value:
        raise ValueError("must be module:attribute")
    return value


HostHeader = Annotated[str, AfterValidator(_host_header)]
ServerName = Annotated[str, AfterValidator(_server_name)]
UpstreamUrl = Annotated[str, AfterValidator(_upstream_url)]
AppName = Annotated[str, AfterValidator(_app_name)]
Address = Annotated[str, AfterValidator(_address)]
RootPath = Annotated[str, AfterValidator(_root)]
Origins = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_origins)]
PageOrigin = Annotated[str, AfterValidator(_page_origin)]
ScreenedHeaders = Annotated[tuple[str, ...], AfterValidator(_screened_headers)]
DroppedHeaders = Annotated[tuple[str, ...], AfterValidator(_dropped_headers)]
ForwardedHeaders = Annotated[tuple[str, ...], AfterValidator(_forwarded_headers)]
Network = Annotated[str, AfterValidator(_network)]
