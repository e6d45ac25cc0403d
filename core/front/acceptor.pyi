from asyncio import AbstractEventLoop
from typing import Any

from batchwire.core.front.http2 import Http2Connection

class FrontAcceptor:
    connections: set[Http2Connection]
    def __init__(
        self,
        loop: AbstractEventLoop,
        servicer: Any,
        service: str,
        *,
        max_streams: int = ...,
        max_header_bytes: int = ...,
        stream_window: int = ...,
        head_seconds: float = ...,
        idle_seconds: float = ...,
        keepalive_seconds: float = ...,
        keepalive_timeout: float = ...,
        ping_seconds: float = ...,
        request_rate: float = ...,
        request_bound: int = ...,
        connection_seconds: float = ...,
    ) -> None: ...
    def end_methods(self) -> None: ...
    def begin_sweeps(self) -> None: ...
    def end_sweeps(self) -> None: ...
    async def wait_closed(self) -> None: ...
