from collections.abc import Callable, Sequence

from batchwire.core import BatchHead, Route
from batchwire.core.front.forwarded_names import ForwardedNames
from batchwire.core.ledger import Account, Batch, Ledger

Metadata = Sequence[tuple[bytes, bytes]]

class RpcRoute:
    route: Route
    def __init__(self, route: Route, account: Account, head: BatchHead, forwarded: ForwardedNames) -> None: ...

class RpcOpener:
    def __init__(
        self,
        ledger: Ledger,
        find: Callable[[str], RpcRoute],
        client: Callable[[str, Metadata], str] | None = None,
    ) -> None: ...
    def open(self, first: bytes, metadata: Metadata, peer: str, left: float, execute: bool) -> Batch: ...
    def begin(self, route: RpcRoute, head: BatchHead, peer: str, trace: str, left: float) -> Batch: ...
