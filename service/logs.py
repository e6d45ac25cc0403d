"""Structured logs on standard error: one line a batch, and the life of the process.

Must never log a URL, a header value or a body of a client.
"""

import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from .state import Batch

_log = structlog.get_logger("batchwire")
_quoted = json.encoder.encode_basestring_ascii
_plain = False  # whether batch lines are written as JSON without structlog's detour


def set_up(form: Literal["json", "console"], level: str) -> None:
    """Sends structlog's and the standard library's records to standard error in one form."""
    global _plain
    number = logging.getLevelNamesMapping()[level.upper()]
    _plain = form == "json" and number <= logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: Any = structlog.processors.JSONRenderer()
    if form == "console":
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def batch_line(
    batch: "Batch", ended: str, summary: dict[str, Any], elapsed: float, bytes_in: int, bytes_out: int
) -> None:
    """The one line of a batch: who, where, how many calls with which outcomes, how long.

    In JSON it is written directly: going through structlog's processors costs as much as the calls of a small batch.
    """
    outcomes = {key: value for key, value in summary.items() if key != "elapsed" and (value or key == "calls")}
    failure = batch.session.failure
    if _plain and failure is None:
        counts = "".join([f', "{key}": {value}' for key, value in outcomes.items()])
        trace = f', "trace": {_quoted(batch.trace)}' if batch.trace else ""
        sys.stderr.write(
            f'{{"front": "{batch.front}", "route": {_quoted(batch.route)}, "peer": {_quoted(batch.peer)}, '
            f'"ended": "{ended}", "elapsed_ms": {elapsed * 1000:.3f}, "bytes_in": {bytes_in}, "bytes_out": {bytes_out}'
            f'{counts}{trace}, "event": "batch", "level": "info", "timestamp": "{_clock.now()}"}}\n'
        )
        return
    fields: dict[str, Any] = {
        "front": batch.front,
        "route": batch.route,
        "peer": batch.peer,
        "ended": ended,
        "elapsed_ms": round(elapsed * 1000, 3),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        **outcomes,
    }
    if batch.trace:
        fields["trace"] = batch.trace
    if failure is not None:
        fields["code"] = failure.code
        fields["reason"] = failure.message
    _log.info("batch", **fields)


class _Clock:
    """ISO timestamps of now, as structlog's TimeStamper makes them; the part of the second is all that is made anew."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{nanoseconds // 1000:06d}Z"


_clock = _Clock()
