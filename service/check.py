"""`batchwire check`: says what is wrong with a configuration or a batch document, and where.

Must never send a call, open a connection or start an app.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from batchwire.core import check_document

from .config import ConfigurationError, load
from .fronts import listeners
from .fronts.tls import make_context
from .routes import RouteTable, make_upstream


def check_config(path: str) -> list[str]:
    """One line for each thing for which `serve` would refuse a configuration file (OP-09)."""
    try:
        config = load(path)
    except ConfigurationError as error:
        return str(error).splitlines()
    loop = asyncio.new_event_loop()
    wrong: list[str] = []
    try:
        for name, upstream in config.upstreams.items():
            _note(wrong, partial(make_upstream, name, upstream, config.limits, loop))
        if not wrong:
            _note(wrong, lambda: RouteTable(config, loop))
        _note(wrong, lambda: listeners.check(config.listen))
        if config.listen.tls.cert_file:
            _note(wrong, lambda: make_context(config.listen.tls))
    finally:
        loop.close()
    return wrong


def _note(wrong: list[str], trial: Callable[[], object]) -> None:
    try:
        trial()
    except ConfigurationError as error:
        wrong.append(str(error))


def check_batch(data: bytes, root: str) -> list[str]:
    """One line for each thing that is wrong with a JSON batch document, in document order."""
    return [
        f"{entry['target'] or 'batch'}: {entry['status']} {entry['code']}: {entry['message']}"
        for entry in check_document(data, root)
    ]


def read_document(path: str) -> bytes:
    """The bytes of a file, or of standard input for "-". Raises click.UsageError."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
