from collections.abc import Callable, Sequence

from batchwire.core import BatchHead
from batchwire.core.front.route_entry import RouteEntry
from batchwire.core.ledger import Batch, Ledger

Metadata = Sequence[tuple[bytes, bytes]]

class RpcOpener:
    def __init__(
        self,
        ledger: Ledger,
        find: Callable[[str], RouteEntry],
        client: Callable[[str, Metadata], str] | None = None,
    ) -> None: ...
    def open(self, first: bytes, metadata: Metadata, peer: str, left: float, execute: bool) -> Batch: ...
    def begin(self, route: RouteEntry, head: BatchHead, peer: str, trace: str, left: float) -> Batch: ...
