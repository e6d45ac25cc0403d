"""One batch by gRPC (BatchJson). Must never hold more than a chunk of the batch or of the answer."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import grpc
from batchwire.v1 import batch_pb2_grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from .call_rest import CallError, Fields, RefusedError, Source, TlsFiles, certificates, placed

_SECURE = "grpcs://"
_URLS = ("http://", "https://", "grpc://")
_CERTAIN = frozenset(
    (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
)
"""What says by itself that nothing was run, whoever says it."""


def by_grpc(
    target: str,
    route: str,
    source: Source,
    seconds: int,
    patience: float,
    files: TlsFiles,
    headers: Fields,
) -> Generator[bytes, None, None]:
    """Sends what `source` gives to HOST:PORT, over TLS to grpcs://HOST:PORT; yields the answer's chunks.

    seconds: after which the gateway is to answer 504 for what has no result (HD-13); patience: until the call is over.
    """
    if target.startswith(_URLS):
        raise CallError(f"--grpc takes HOST:PORT, or {_SECURE}HOST:PORT for TLS, and no URL such as {target}")
    if not (route.isascii() and route.isprintable()):
        # gRPC would refuse it too, with lines of its own on stderr.
        raise CallError("--route must be printable ASCII, with anything else percent-encoded")
    with _channel(target, files) as channel:
        _connect(channel)
        stub: Any = batch_pb2_grpc.BatchServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("prefer", f"wait={seconds}"), *((("batchwire-route", route),) if route else ()), *headers)
        broken: list[OSError] = []

        def messages() -> Iterator[HttpBody]:
            try:
                while data := source.read():
                    yield HttpBody(content_type="application/json", data=data)
            except OSError as error:
                broken.append(error)
                raise

        try:
            for message in stub.BatchJson(messages(), metadata=metadata, timeout=patience):
                yield message.data
        except grpc.RpcError as error:
            if broken:
                raise broken[0] from None
            raise _failed(error) from None


def _channel(target: str, files: TlsFiles) -> Any:
    if not target.startswith(_SECURE):
        return grpc.insecure_channel(target)
    if any(files):
        certificates(files)  # grpc's own words for a file that holds none are lines of its log
    authority, chain, key = (Path(file).read_bytes() if file else None for file in files)
    credentials = grpc.ssl_channel_credentials(authority, key, chain)
    return grpc.secure_channel(target.removeprefix(_SECURE), credentials)


def _connect(channel: Any) -> None:
    """Asks something harmless first: what cannot be reached has run nothing, which the batch's own RPC cannot tell."""
    ask = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
    try:
        ask(b"")
    except grpc.RpcError as error:
        # Any other word of a server, also that it knows no such method, is one of somebody who is there.
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise RefusedError(f"{error.code().name}: {error.details() or ''}") from None


def _failed(error: Any) -> CallError:
    """What the end of the RPC says."""
    code, target, message, started = _details(error)
    kind = RefusedError if not started and (code or error.code() in _CERTAIN) else CallError
    if code and error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
        kind = CallError
    return kind(f"{error.code().name}{placed(code, target, message)}")


def _details(error: Any) -> tuple[str, str, str, bool]:
    """Code, place and message of an error of the gateway, and whether calls had been started by then.

    Those of any other have no code and no place.
    """
    code = target = ""
    started = False
    with contextlib.suppress(ValueError, DecodeError):
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                code = info.reason
                started = "calls_started" in info.metadata or info.domain != "batchwire"
            elif detail.Unpack(bad) and bad.field_violations:
                target = bad.field_violations[0].field
    return code, target, error.details() or "", started
