from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from batchwire.core import BatchHead, Route, Session

ENDED: tuple[str, ...]
LASTED: tuple[float, ...]

class TooManyBatchesError(Exception): ...

class Account:
    front: str
    route: str
    running: int
    def __init__(self, front: str, route: str) -> None: ...
    def take(self) -> tuple[list[tuple[str, int, int, int, dict[str, int]]], list[int], float]: ...

class Batch:
    session: Session
    peer: str
    trace: str
    @property
    def front(self) -> str: ...
    @property
    def route(self) -> str: ...
    def close(self, ended: str = "ok") -> None: ...

class Ledger:
    batches: set[Batch]
    on_idle: Callable[[], object] | None
    draining: bool
    def __init__(
        self,
        loop: AbstractEventLoop,
        most: int,
        most_of_client: int,
        *,
        write: Callable[[bytes], object] | None = None,
        say: Callable[[Batch, str, dict[str, Any], float, int, int], None] | None = None,
        share: float = 1.0,
    ) -> None: ...
    def write_on(self) -> None: ...
    def account(self, front: str, route: str) -> Account: ...
    def all_accounts(self) -> list[Account]: ...
    def open(self, account: Account, route: Route, peer: str, trace: str, head: BatchHead) -> Batch: ...
