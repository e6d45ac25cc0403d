"""`batchwire call`: sends an OData JSON batch to a gateway and hands the answer on as it comes.

Neither the batch nor the answer is ever held whole. Must never be imported by the gateway itself.
"""

import contextlib
import math
import re
import signal
import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .call_output import Sink, written
from .call_rest import CallError, RefusedError, Source, TlsFiles, by_rest, fields_of

_LONGEST_TIMEOUT = 7 * 24 * 3600
# Every response object begins so (JsonWriter, also of other gateways that follow the member order of ours).
_RESPONSE = re.compile(rb'\{"id":"(?:[^"\\]|\\.)*",(?:"atomicityGroup":"(?:[^"\\]|\\.)*",)?"status":([0-9]{3})')
# A string may go on in the next piece, even in the middle of an escape.
_TEXT = rb'(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)'
_REST_OF_TEXT = re.compile(_TEXT, re.DOTALL)
_STRUCTURE = re.compile(rb'"' + _TEXT + rb"|[{}\[\]]", re.DOTALL)
_LONGEST_HEAD = 4096
_UNREAD = 128 + signal.SIGPIPE
_LATER_SECONDS = 2.0
"""For the answer of a gateway that was to end in time, before it is given up."""
_NOTHING_RUN, _BROKEN_OFF = 2, 3


class Tally:
    """Counts the objects of a batch, or of its answer, that comes in pieces.

    Such an object stands at depth 3 of the document ({"responses":[{...}]}), in the member `name`; text is stepped over
    whole, so that nothing inside a string or a body is taken for one. counted_to: where the last of them ends.
    """

    def __init__(self, name: str) -> None:
        self.objects = 0
        self.failed = 0
        self.counted_to = 0
        self._total = 0
        self._name = f'"{name}"'.encode()
        self._member = b""  # the last text at depth 1
        self._inside = False
        self._found = False
        self._begun = False
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._head = b""

    def add(self, data: bytes) -> None:
        """The next piece of the answer."""
        at = start = 0
        if self._in_text:
            found = _REST_OF_TEXT.match(data, 1 if self._escaped else 0)
            at = self._text_ends(found)
            self._note(self._member, data[:at])
        for found in _STRUCTURE.finditer(data, at):
            mark = found.group()
            if mark in (b"{", b"["):
                self._begun = True
                self._depth += 1
                if self._depth == 2:
                    self._inside = mark == b"[" and self._member == self._name
                    self._found = self._found or self._inside
                if self._depth == 3 and mark == b"{":
                    start = found.start()
                    self._head = b""
            elif mark in (b"}", b"]"):
                if self._depth == 3 and mark == b"}" and self._inside:
                    self.counted_to = self._total + found.end()
                    self._count(self._head + data[start : start + _LONGEST_HEAD])
                self._depth -= 1
            else:
                self._text_ends(found)
                self._note(b"", mark)
        if self._depth >= 3 and len(self._head) < _LONGEST_HEAD:
            self._head += data[start : start + _LONGEST_HEAD]
        self._total += len(data)

    def reached(self) -> tuple[int, int, bytes]:
        """How many objects there are, the bytes that hold them, and what makes a document of these."""
        return (self.objects, self._total, b"") if self.complete() else (self.objects, self.counted_to, b"]}")

    def complete(self) -> bool:
        """Whether a document began, and was closed as JSON is."""
        return self._begun and self._depth == 0 and not self._in_text

    def found(self) -> bool:
        """Whether the member was there."""
        return self._found

    def _note(self, before: bytes, text: bytes) -> None:
        """A text, or more of one, which names the member that follows it if it stands at depth 1."""
        if self._depth == 1:
            self._member = (before + text)[: len(self._name) + 1]

    def _text_ends(self, found: re.Match[bytes] | None) -> int:
        """Notes whether a string ended in this piece; where the scan goes on."""
        if found is None:
            return 0
        self._in_text = found.group("end") != b'"'
        self._escaped = found.group("end") == b"\\"
        return found.end()

    def _count(self, head: bytes) -> None:
        self.objects += 1
        found = _RESPONSE.match(head)
        if found is None or not found.group(1).startswith(b"2"):
            self.failed += 1


def run_call(
    file: str,
    http: str | None,
    grpc: str | None,
    route: str,
    timeout: float,
    output: str,
    progress: bool | None,
    files: TlsFiles,
    headers: tuple[str, ...],
) -> int:
    """Sends the batch in `file` ("-": stdin) and writes the answer to `output` ("-": stdout).

    headers: "Name: value" each.

    0: every call was answered 2xx. 1: some call was not. 2: no call was run. 3: it broke off, and calls may have been
    run. 128 + n: ended by signal n, as 3; 141, that of a pipe that nobody reads any more, is the one of which no line
    on stderr says why. Must be called in the main thread: the time-out is a signal, because it holds for whatever takes
    the time, be it a name server, the gateway, or a pipe that nobody reads.
    """
    shown = sys.stderr.isatty() if progress is None else progress
    sent, tally = Tally("requests"), Tally("responses")
    source: Source | None = None
    sink: Sink | None = None
    try:
        with _ended_by_signals(), _within(timeout) as seconds, contextlib.ExitStack() as stack:
            source = Source(stack.enter_context(_source(file)), sent.add)
            sink = stack.enter_context(written(output))
            if http is not None:
                answer = by_rest(http, source, seconds, files, fields_of(headers))
            else:
                from .call_grpc import by_grpc  # gRPC takes longer to load than all the rest

                answer = by_grpc(
                    grpc or "", route, source, seconds, seconds + 2 * _LATER_SECONDS, files, fields_of(headers)
                )
            # A generator that is left early closes its connection when it is told to, not when it is collected.
            stack.enter_context(contextlib.closing(answer))
            bar = stack.enter_context(_progress(shown))
            task = bar.add_task("results", total=None, failed=0)
            for piece in answer:
                sink.write(piece)
                tally.add(piece)
                sink.reached(*tally.reached())
                bar.update(task, completed=tally.objects, failed=tally.failed)
            if not tally.complete():
                raise CallError("the answer broke off: some results are missing")
            if not tally.found():
                raise CallError("the answer is no batch answer (it has no responses): is the URL that of a $batch?")
            if tally.objects != sent.objects:
                raise CallError(f"{sent.objects} calls were sent, and {tally.objects} responses came")
    except RefusedError as error:
        if not tally.objects:
            return _told(str(error), _NOTHING_RUN)
        said, code = str(error), _BROKEN_OFF
    except CallError as error:
        said, code = str(error), _BROKEN_OFF
    except BrokenPipeError:
        return _UNREAD
    except _Ended as ended:
        said, code = f"ended by {ended.signal.name}", 128 + ended.signal
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        code = _BROKEN_OFF
    except KeyboardInterrupt:
        said, code = "interrupted", 130
    else:
        return 1 if tally.failed else 0
    if source is None or not source.begun:
        return _told(said, _NOTHING_RUN if code == _BROKEN_OFF else code)
    there = "" if output == "-" else f"; {output} is left as it was"
    if sink is not None and sink.kept:
        there = f", in {sink.kept}"
    return _told(f"{said} (calls may have been run; results that came: {tally.objects}{there})", code)


class _Ended(BaseException):
    """A signal that ends the process has come: a draft is to be removed first."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raises _Ended in the main thread for SIGTERM and SIGHUP, and KeyboardInterrupt for Ctrl-C.

    What is ignored from the start (nohup, a job in the background) stays so.
    """

    def end(number: int, _frame: object) -> None:
        raise _Ended(number)

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _told(message: str, code: int) -> int:
    # A gateway's words may hold what a terminal would obey.
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(message.split()))
    click.echo(f"batchwire call: {shown}", err=True)
    return code


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[int]:
    """Raises CallError in the main thread, whatever it is doing, a little after the time is over.

    Gives the time in whole seconds, for the gateway: it answers what it can before that.
    """
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise CallError(f"--timeout must be above 0 and at most {_LONGEST_TIMEOUT} seconds")

    def late(*_: object) -> None:
        raise CallError(f"the batch did not end within {seconds:g} s")

    whole = math.ceil(seconds)
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, whole + _LATER_SECONDS)
    try:
        yield whole
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _source(file: str) -> Iterator[int]:
    """The descriptor that the batch is read from. Its bytes go past `sys.stdin`, whose lock a reading thread holds."""
    if file == "-":
        yield 0
        return
    with open(file, "rb", buffering=0) as opened:
        yield opened.fileno()


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.completed} results, {task.fields[failed]} not 2xx"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not shown,
        transient=True,
    )
