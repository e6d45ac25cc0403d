"""Structured logs on standard error: one line a batch, and the life of the process.

Whatever is written there, by whomever in this process, goes through a LogStream. Must never log a URL, a header value
or a body of a client.
"""

import asyncio
import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

import structlog
from batchwire.core import OUTCOMES

from .log_stream import LogStream

if TYPE_CHECKING:
    from batchwire.core.ledger import Batch

_log = structlog.get_logger("batchwire")
LAST_LINES_SECONDS = 1.0
"""What a process waits at its end for its last lines to be written."""
_stream: LogStream | None = None
_EXTRA = ("upstream", "address", "reason", "limit", "untold")
"""Fields of records of the core that become fields of the line."""
_COUNTS = frozenset(OUTCOMES)
_plain = False  # whether batch lines are written as JSON without structlog's detour


def set_up(form: Literal["json", "console"], level: str) -> None:
    """Sends structlog's and the standard library's records to standard error in one form."""
    global _plain
    stream = _take_over()
    number = logging.getLevelNamesMapping()[level.upper()]
    _plain = form == "json" and number <= logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if form == "console":
        colours = stream.isatty() and "NO_COLOR" not in os.environ
        last[1:] = [_visible, structlog.dev.ConsoleRenderer(colors=colours)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(_EXTRA)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def lines_dropped() -> int:
    """Lines that could not be written so far."""
    return _stream.dropped if _stream is not None else 0


def write_in(loop: asyncio.AbstractEventLoop | None) -> None:
    """The loop of this thread writes from now on what is said; None: none does any more."""
    if _stream is not None:
        _stream.attach(loop)


def last_lines(seconds: float = LAST_LINES_SECONDS) -> None:
    """Lets what was said so far be written, for a process that is about to end."""
    if _stream is not None:
        _stream.wait_written(seconds)


def _take_over() -> LogStream:
    """Puts the one stream of this process in the place of sys.stderr: warnings and tracebacks block no less."""
    global _stream
    if _stream is None:
        try:
            _stream = LogStream(sys.stderr.fileno(), sys.stderr.isatty())
        except (AttributeError, OSError, ValueError):  # closed: the descriptor may be somebody else's by now
            _stream = LogStream(-1)
        sys.stderr = _stream
        atexit.register(last_lines)
    return _stream


def _visible(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Escapes what a terminal would obey or not show (C0, C1, bidirectional marks): fields hold words of clients."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join([c if c.isprintable() or c in _LAYOUT.get(key, "") else _escaped(c) for c in value])
    return event


_LAYOUT = {"exception": "\n\t", "stack": "\n\t", "event": "\n\t"}


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def plain_writer() -> Callable[[bytes], None] | None:
    """What takes the line of a batch as JSON: going through structlog costs as much as the calls of a small batch.

    None: lines have another form, or another level.
    """
    return _stream.write_line if _plain and _stream is not None else None


def batch_line(
    batch: "Batch", ended: str, summary: dict[str, Any], elapsed: float, bytes_in: int, bytes_out: int
) -> None:
    """The one line of a batch: who, where, how many calls with which outcomes, how long."""
    failure = batch.session.failure
    fields: dict[str, Any] = {
        "front": batch.front,
        "route": batch.route,
        "peer": batch.peer,
        "ended": ended,
        "elapsed_ms": round(elapsed * 1000, 3),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "calls": summary["calls"],
        **{key: value for key, value in summary.items() if value and key in _COUNTS},
    }
    if batch.trace:
        fields["trace"] = batch.trace
    if failure is not None:
        fields["code"] = failure.code
        fields["reason"] = failure.message
    _log.info("batch", **fields)
