"""`batchwire check`: says what is wrong with a configuration or a batch document, and where.

Must never send a call, open a connection or start an app.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from batchwire.core import Names, check_document
from pydantic import BaseModel, ValidationError

from .config import (
    Config,
    ConfigurationError,
    LimitSettings,
    Listen,
    TlsSettings,
    UpstreamSettings,
    one_route,
    read,
)
from .fronts.listening import listeners
from .fronts.listening.tls import make_context
from .routes import RouteTable, make_upstream
from .variables import say_routes

_Settings = TypeVar("_Settings", bound=BaseModel)


def check(path: str | None, batch: str | None, root: str | None, announced: bool = False) -> list[str]:
    """One line for each thing that is wrong with a configuration, or with a JSON batch document for a route of it.

    path: of its file; None if it stands in the environment, or there is none. batch: file, or "-". root: service root
    of the route; None: the default one. announced: whether the client says that it speaks OData 4.01. Without a
    configuration, the batch is judged for a route with the settings of `serve --upstream`; it is not, when the
    configuration is wrong.
    Raises click.UsageError for a batch that cannot be read.
    """
    data = read_document(batch) if batch else None
    loop = asyncio.new_event_loop()
    configured = bool(path) or say_routes()
    try:
        config, wrong, said = read(path, None if configured else one_route("http://localhost/", "", root or "/"))
        if config is None:
            return wrong + _check_parts(said, loop)
        # What the first look did not find stands beside what it did.
        if configured:
            wrong += _check_config(config, loop)
        if data is not None and not wrong:
            wrong = _check_batch(data, config, RouteTable(config, loop), root, announced)
    except ConfigurationError as error:
        return str(error).splitlines()
    finally:
        loop.close()
    return wrong


def _check_config(config: Config, loop: asyncio.AbstractEventLoop) -> list[str]:
    """One line for each thing for which `serve` would refuse a configuration (OP-09)."""
    wrong = _check_files(config.upstreams, config.limits, config.listen.tls, loop)
    if not wrong:
        _note(wrong, lambda: RouteTable(config, loop))
    _note(wrong, lambda: listeners.check(config.listen))
    return wrong


def _check_parts(said: Mapping[str, Any], loop: asyncio.AbstractEventLoop) -> list[str]:
    """The same for those parts of a configuration that hold by themselves, while others do not."""
    upstreams = said.get("upstreams")
    listen = said.get("listen")
    held = {
        name: upstream
        for name, given in (upstreams.items() if isinstance(upstreams, Mapping) else ())
        if (upstream := _held(UpstreamSettings, given)) is not None
    }
    limits = _held(LimitSettings, said.get("limits", {})) or LimitSettings.model_validate({})
    tls = _held(TlsSettings, listen.get("tls", {})) if isinstance(listen, Mapping) else None
    return _check_files(held, limits, tls, loop)


def _held(section: type[_Settings], given: object) -> _Settings | None:
    try:
        return section.model_validate(given)
    except ValidationError:
        return None


def _check_files(
    upstreams: Mapping[str, UpstreamSettings],
    limits: LimitSettings,
    tls: TlsSettings | None,
    loop: asyncio.AbstractEventLoop,
) -> list[str]:
    """What upstreams and listeners are made of: apps, certificates, keys."""
    wrong: list[str] = []
    names = Names(loop)
    for name, upstream in upstreams.items():
        _note(wrong, partial(make_upstream, name, upstream, limits, loop, names))
    if tls is not None and tls.cert_file:
        _note(wrong, lambda: make_context(tls))
    return wrong


def _note(wrong: list[str], trial: Callable[[], object]) -> None:
    try:
        trial()
    except ConfigurationError as error:
        wrong += str(error).splitlines()


def _check_batch(data: bytes, config: Config, table: RouteTable, root: str | None, announced: bool) -> list[str]:
    """One line for each thing that is wrong with a JSON batch document, in document order."""
    route = table.by_root(root or "")
    if route is None:
        roots = ", ".join(table.settings)
        return [f"--root: there is no route {root}; there are {roots}" if root else f"--root: say which of {roots}"]
    settings = table.settings[route.root.decode()]
    if "odata" not in settings.dialects:
        return [f"batch: the route {settings.root} takes no OData batches (dialects: {', '.join(settings.dialects)})"]
    # Clients that do not announce OData 4.01 are the rule.
    strict = settings.profile == "strict" or (announced and settings.profile == "auto")
    found = check_document(data, route, strict=strict, authority=settings.public_origins() or _origin(config.listen))
    return [f"{entry['target'] or 'batch'}: {entry['status']} {entry['code']}: {entry['message']}" for entry in found]


def _origin(listen: Listen) -> tuple[str, str] | None:
    """Where a client on this machine would send the batch: what a running gateway takes from its request."""
    if not listen.http or listen.http.startswith(("unix:", "systemd:")):
        return None
    return "https" if listen.tls.cert_file else "http", listen.http


def read_document(path: str) -> bytes:
    """The bytes of a file, or of standard input for "-". Raises click.UsageError."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
