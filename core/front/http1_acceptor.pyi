from asyncio import AbstractEventLoop
from typing import Any

from batchwire.core.front.http1 import Http1Connection

class Http1Acceptor:
    connections: set[Http1Connection]
    def __init__(
        self,
        loop: AbstractEventLoop,
        servicer: Any,
        *,
        max_head_bytes: int = ...,
        head_seconds: float = ...,
        idle_seconds: float = ...,
        keepalive_seconds: float = ...,
    ) -> None: ...
    def begin_sweeps(self) -> None: ...
    def end_sweeps(self) -> None: ...
    def retire(self) -> None: ...
    async def wait_closed(self) -> None: ...
