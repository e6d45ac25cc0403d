"""`batchwire check`: says what is wrong with a configuration or a batch document, and where. Never sends a call."""

import sys
from pathlib import Path

import click
from batchwire.core import check_document


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
