"""`batchwire check`: says what is wrong with a configuration or a batch document, and where.

Must never send a call, open a connection or import an app.
"""

import sys
from pathlib import Path

import click
from batchwire.core import check_document

from .config import ConfigurationError, load
from .fronts.tls import make_context
from .routes import make_tls


def check_config(path: str) -> list[str]:
    """One line for each thing that is wrong with a configuration file or with the certificates that it names."""
    try:
        config = load(path)
    except ConfigurationError as error:
        return str(error).splitlines()
    wrong = [] if config.routes else ["routes: there is none"]
    try:
        if config.listen.tls.cert_file:
            make_context(config.listen.tls)
    except ConfigurationError as error:
        wrong.append(str(error))
    for name, upstream in config.upstreams.items():
        try:
            make_tls(name, upstream)
        except ConfigurationError as error:
            wrong.append(str(error))
    return wrong


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
