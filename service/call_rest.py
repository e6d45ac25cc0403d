"""One batch by REST: the request is written while the answer is read, as a gateway that streams needs it.

A gateway stops reading while its results are not taken, so whoever sends everything first waits for it for ever. One
thread polls socket and source. Must never hold more than a chunk of either.
"""

import json
import os
import re
import select
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from .certificates import load_pair
from .config import ConfigurationError

CHUNK = 65536

BY_HEAD = frozenset((401, 403, 404, 405, 406, 407, 410, 411, 414, 415, 417, 421, 426, 428, 429, 431, 451))
"""Statuses that anybody says on the sight of a head, before it passes a request on."""

_SECURE_HINT = " (one that asks for client certificates takes none without --cert-file, or with one that it distrusts)"
"""With TLS 1.3 the client has its handshake behind it by then."""


class CallError(Exception):
    """The batch did not end well; the message is for a person."""


class RefusedError(CallError):
    """It was refused as a whole, by words that leave no doubt that none of its calls was run."""


class Source:
    """Where the batch is read from. taken: is given all that is read. begun: something was, and may have been sent."""

    def __init__(self, descriptor: int, taken: Callable[[bytes], None]) -> None:
        self.descriptor = descriptor
        self.begun = False
        self._taken = taken

    def read(self) -> bytes:
        """What comes next; b"" at the end."""
        data = os.read(self.descriptor, CHUNK)
        self.begun = self.begun or bool(data)
        self._taken(data)
        return data


_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~]+(?:[ \t]+[!-~]+)*)?[ \t]*")
_OURS = frozenset(
    (
        "connection",
        "content-length",
        "content-type",
        "host",
        "odata-version",
        "prefer",
        "te",
        "transfer-encoding",
        "trailer",
    )
)
Fields = list[tuple[str, str]]


def fields_of(headers: tuple[str, ...]) -> Fields:
    """Names, in lower case, and values of "Name: value" each.

    Raises CallError, which quotes no value: it may be a secret.
    """
    fields = []
    for header in headers:
        found = _FIELD.fullmatch(header)
        if found is None:
            raise CallError(f"--header {header.partition(':')[0]!r:.60} is no 'Name: value' of printable ASCII")
        name = found[1].lower()
        if name in _OURS or name.startswith("grpc-") or name.endswith("-bin"):
            raise CallError(f"--header {name} is not taken: the command or gRPC says it")
        fields.append((name, found[2] or ""))
    return fields


class TlsFiles(NamedTuple):
    """PEM. ca_file: whom to trust; "": whom the system trusts. cert_file, key_file: of the client; "": it has none."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def certificates(files: TlsFiles) -> ssl.SSLContext:
    """What they make. Raises CallError, which names the file."""
    try:
        context = ssl.create_default_context(cafile=files.ca_file or None)
        if files.cert_file:
            load_pair(context, "", files.cert_file, files.key_file)
    except ConfigurationError as error:
        raise CallError("; ".join(line.partition(": ")[2] for line in str(error).splitlines())) from None
    except ssl.SSLError:
        raise CallError(f"{files.ca_file} holds no certificate") from None
    except OSError as error:
        raise CallError(f"{files.ca_file}: {error.strerror}") from None
    return context


def by_rest(url: str, source: Source, seconds: int, files: TlsFiles, headers: Fields) -> Generator[bytes, None, None]:
    """POSTs what `source` gives to the URL; yields the answer's body as it comes.

    seconds: after which the gateway is to answer 504 for what has no result (HD-13). files: for https.
    """
    host, port, secure, request = _request(url, seconds, headers)
    context = certificates(files) if secure else None
    protocol = h11.Connection(h11.CLIENT)
    head = protocol.send(request)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(socket.create_connection((host, port)))
        except UnicodeError:
            raise CallError(f"{url} names no host") from None
        except OSError as error:
            raise CallError(f"{host}:{port} cannot be connected to: {error.strerror or error}") from None
        if context is not None:
            try:
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
            except ssl.SSLError as error:
                if error.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
                    raise
                raise CallError(f"{host}:{port} does not speak TLS (a plain gateway is called by http://)") from None
        connection.setblocking(False)
        hint = _SECURE_HINT if secure else " (a gateway that speaks TLS there is called by https://)"
        yield from _answer(protocol, connection, source, bytearray(head or b""), hint)


def _answer(
    protocol: h11.Connection, connection: socket.socket, source: Source, unsent: bytearray, hint: str
) -> Generator[bytes, None, None]:
    """Sends `unsent` and then the body, and reads until the answer has ended. hint: why there may be none."""
    sending = True
    status = 0
    started = odata = False
    refusal = bytearray()
    while True:
        wanted = source.descriptor if sending and not unsent else None
        source_ready, readable, writable = _ready(connection, wanted, bool(unsent))
        # First, because a write to what has been closed would lose what had been said before.
        received = _received(connection) if readable else None
        if source_ready:
            data = source.read()
            unsent += protocol.send(h11.Data(data) if data else h11.EndOfMessage()) or b""
            sending = bool(data)
        if writable:
            try:
                del unsent[: connection.send(unsent)]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                # A gateway that refuses a batch need not read it to its end: what it said is still there to be read.
                sending = False
                unsent.clear()
        if received is None:
            continue
        try:
            protocol.receive_data(received)
            while (event := protocol.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    status = event.status_code
                    names = {name for name, _ in event.headers}
                    started = b"batchwire-calls-started" in names
                    odata = b"odata-version" in names
                elif isinstance(event, h11.Data) and status in (200, 202):
                    yield bytes(event.data)
                elif isinstance(event, h11.Data):
                    refusal += event.data[: CHUNK - len(refusal)]
                elif not isinstance(event, h11.InformationalResponse):
                    if status not in (200, 202):
                        raise _refused(status, bytes(refusal), started, odata)
                    if isinstance(event, h11.EndOfMessage):
                        _look_for_error(event)
                    return
        except h11.RemoteProtocolError as error:
            if status and status not in (200, 202):
                raise _refused(status, bytes(refusal), started, odata) from None
            what = "the answer broke off" if status else "no answer came"
            if not received:
                raise CallError(f"{what}: the connection was closed{'' if status else hint}") from None
            raise CallError(f"{what}: {error}") from None


def _ready(connection: socket.socket, source: int | None, writing: bool) -> tuple[bool, bool, bool]:
    """Waits; whether the source has something, the connection has something, and the connection takes something."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | (select.POLLOUT if writing else 0))
    if source is not None:
        poll.register(source, select.POLLIN)
    events = dict(poll.poll())
    of_connection = events.get(connection.fileno(), 0)
    return source in events, bool(of_connection & ~select.POLLOUT), bool(of_connection & select.POLLOUT)


def _received(connection: socket.socket) -> bytes | None:
    """What has come, b"" at the end; None if it is no whole TLS record yet."""
    try:
        data = connection.recv(CHUNK)
        # What TLS has unpacked already does not show in a poll.
        while isinstance(connection, ssl.SSLSocket) and connection.pending():
            data += connection.recv(connection.pending())
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except ConnectionResetError:
        return b""
    return data


def _request(url: str, seconds: int, headers: Fields) -> tuple[str, int, bool, h11.Request]:
    """Host, port, whether it is TLS, and the head of the request."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        secure = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc.rpartition("@")[2]
        head = {
            "host": authority,
            "content-type": "application/json",
            "odata-version": "4.01",
            "prefer": f"wait={seconds}",
            "transfer-encoding": "chunked",
            "te": "trailers",
            "connection": "close, te",
        }
        request = h11.Request(method="POST", target=target, headers=[*head.items(), *headers])
        return host, port or (443 if secure else 80), secure, request
    except (ValueError, h11.LocalProtocolError):
        raise CallError(f"{url} is no http or https URL") from None


def _refused(status: int, body: bytes, started: bool, odata: bool) -> CallError:
    """The error of an answer that is none to a batch. started: it says that calls had been started. odata: it says
    its version of OData, as a gateway does with each error, and a proxy with none.

    In a gateway's words 4xx and 503 say that nothing was run. Others say some of these also where they have passed a
    part of the batch on, and have lost the gateway behind them.
    """
    code, reason = _reason(body)
    of_gateway = odata and bool(code) and (400 <= status < 500 or status == 503)
    of_others = 300 <= status < 400 or status in BY_HEAD
    kind = RefusedError if not started and (of_gateway or of_others) else CallError
    return kind(f"the {'gateway' if odata else 'server'} answered {status}{reason}")


def _look_for_error(end: h11.EndOfMessage) -> None:
    """GW-21: a gateway that breaks an answer off says why in a trailer."""
    for name, value in end.headers:
        if name == b"odata-error":
            raise CallError(f"the answer broke off{_reason(value)[1]}")


def placed(code: str, target: str, message: str) -> str:
    """Code, place and message of an error, each where there is one: " DuplicateId at requests[3].id: ..."."""
    return f"{f' {code}' if code else ''}{f' at {target}' if target else ''}: {message}"


def _reason(body: bytes) -> tuple[str, str]:
    """The code of an OData error object and what it says; "" and the start of whatever else came. A code that is no
    text is none."""
    try:
        error = json.loads(body)["error"]
        code, target, message = (str(error.get(key) or "") for key in ("code", "target", "message"))
        return code if isinstance(error.get("code"), str) else "", placed(code, target, message)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Also one that was cut off behind its message.
        found = re.search(rb'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
        return "", placed("", "", (found.group(1) if found else body[:200]).decode("utf-8", "replace"))
