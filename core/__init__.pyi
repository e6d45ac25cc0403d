"""Types of the core's public API; the docstrings stand with the code."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from ssl import SSLContext
from typing import Any

from batchwire.core.upstream.asgi.complaints import Complaints

OUTCOMES: tuple[str, ...]

class BatchwireError(Exception): ...
class ConfigError(BatchwireError): ...

class EnvelopeError(BatchwireError):
    status: int
    code: str
    message: str
    target: str
    route: str
    started: int
    def __init__(self, status: int, code: str, message: str, target: str = "", route: str = "") -> None: ...
    def again(self) -> EnvelopeError: ...

class Limits:
    max_calls: int
    max_request_bytes: int
    max_call_bytes: int
    max_response_bytes: int
    max_depth: int
    max_header_bytes: int
    max_in_flight: int
    max_pending: int
    max_pending_bytes: int
    batch_deadline_seconds: float
    client_idle_seconds: float
    min_request_rate: float
    max_batches_per_client: int
    max_batches: int
    grpc_max_message_bytes: int
    output_high_bytes: int
    max_answer_bytes_in_flight: int
    max_answer_bytes_in_process: int
    reference_bytes: int
    reorder_bytes: int
    reorder_results: int
    max_hops: int
    max_group_calls: int
    max_calls_per_message: int
    def __init__(self, **limits: float) -> None: ...

class Upstream:
    name: str
    base_path: bytes
    in_flight: int
    native: object | None
    coalesce: int
    def take_batches(self, form: str, coalesce: int = 1) -> None: ...
    def take_merge(self, method: str) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def close(self) -> None: ...

class Found:
    addresses: tuple[str, ...]
    reason: str
    since: float
    def in_turn(self, turn: int) -> list[str]: ...

class Names:
    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = ...) -> None: ...
    async def find(self, host: str) -> Found: ...
    def drop(self, host: str, found: Found) -> None: ...

class HttpUpstream(Upstream):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        name: str,
        scheme: str = "http",
        addresses: Sequence[tuple[str, int]] = (),
        unix_path: str | None = None,
        base_path: str = "/",
        host: str = "",
        ssl: SSLContext | None = None,
        server_name: str | None = None,
        max_connections: int = 128,
        max_in_flight: int = 0,
        connect_timeout: float = 5.0,
        call_timeout: float = 30.0,
        idle_timeout: float = 30.0,
        max_response_bytes: int = ...,
        max_header_bytes: int = 32768,
        forward_authorization: bool = False,
        names: Names | None = None,
    ) -> None: ...
    def renew_tls(self, ssl: SSLContext) -> None: ...

class AsgiUpstream(Upstream):
    app: Callable[..., Any]
    state: dict[str, Any]
    complaints: Complaints
    at_work: bool
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        app: Callable[..., Any],
        *,
        name: str,
        base_path: str = "/",
        root_path: str = "",
        host: str = "localhost",
        max_in_flight: int = 128,
        call_timeout: float = 30.0,
        max_response_bytes: int = ...,
        max_header_bytes: int = ...,
        startup_timeout: float = ...,
        forward_authorization: bool = False,
    ) -> None: ...
    async def startup(self) -> None: ...
    async def shutdown(self) -> None: ...
    def begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def head(self, message: Mapping[str, Any]) -> tuple[int, list[tuple[bytes, bytes]]]: ...
    async def idle(self) -> None: ...
    def cancel(self) -> None: ...

class Route:
    root: bytes
    upstream: Upstream
    limits: Limits
    streaming_threshold: int
    def __init__(
        self,
        *,
        root: str,
        upstream: Upstream,
        mounts: Sequence[tuple[str, Upstream]] = (),
        limits: Limits | None = None,
        streaming_threshold: int = ...,
        inner_authorization: str = "same",
        flat_change_sets: bool = False,
        drop_headers: Sequence[str] = (),
        keep_headers: Sequence[str] = (),
        bare_batch: bool = True,
    ) -> None: ...

class BatchHead:
    dialect: str
    answer: str
    strict: bool
    authority: tuple[str, str] | Sequence[tuple[str, str]] | None
    headers: list[tuple[bytes, bytes]] | None
    authorization: bytes | None
    continue_on_error: bool
    ordered: bool
    deadline: float
    answer_deadline: float
    hops: int
    execute: bool
    boundary: bytes | None
    answer_boundary: bytes | None
    last_only: bool
    nested_errors: bool
    watched: bool
    def __init__(
        self,
        *,
        dialect: str = "json",
        answer: str | None = None,
        strict: bool = True,
        authority: tuple[str, str] | Sequence[tuple[str, str]] | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        authorization: bytes | None = None,
        continue_on_error: bool = True,
        ordered: bool = False,
        deadline: float = 0,
        answer_deadline: float = 0,
        hops: int = 1,
        execute: bool = False,
        boundary: bytes | None = None,
        answer_boundary: bytes | None = None,
        last_only: bool = False,
        nested_errors: bool = False,
        watched: bool = True,
    ) -> None: ...
    def copy(self) -> BatchHead: ...

class Session:
    finished: bool
    cancelled: bool
    ordered: bool
    failure: EnvelopeError | None
    launched: int
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        route: Route,
        head: BatchHead | None = None,
        **fields: Any,
    ) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def feed_end(self) -> None: ...
    def client_stalled(self) -> None: ...
    def cancel(self) -> None: ...
    def stop(self) -> None: ...
    def end_reading(self) -> None: ...
    def fail(self, error: EnvelopeError) -> None: ...
    def take(self, keeps: bool = False) -> bytes | None: ...
    async def wait_input(self) -> None: ...
    async def wait_output(self) -> None: ...
    @property
    def summary(self) -> dict[str, Any]: ...
    @property
    def holds_group(self) -> bool: ...
    @property
    def sent_bytes(self) -> int: ...
    @property
    def fed_bytes(self) -> int: ...

def check_document(
    data: bytes,
    route: Route,
    *,
    strict: bool = False,
    authority: tuple[str, str] | list[tuple[str, str]] | None = None,
) -> list[dict[str, Any]]: ...
def content_type_of(flavour: str, boundary: bytes) -> str: ...
def header_verdict(name: bytes) -> str: ...
def new_boundary(flavour: str) -> bytes: ...
def parse_boundary(content_type: str) -> bytes: ...
def tune_malloc() -> None: ...
def stats() -> dict[str, int]: ...
