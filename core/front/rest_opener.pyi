from typing import Any

from batchwire.core import BatchHead, Route
from batchwire.core.front.forwarded_names import ForwardedNames
from batchwire.core.front.route_entry import RouteEntry
from batchwire.core.front.stream import Stream
from batchwire.core.ledger import Account, Batch, Ledger

Fields = list[tuple[bytes, bytes]]

def lasting_fields(fields: Fields) -> Fields: ...

class Negotiated(RouteEntry):
    outcome: Any
    def __init__(
        self,
        outcome: Any,
        route: Route,
        account: Account,
        head: BatchHead,
        *,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...],
        decoding: str,
        forwarded: ForwardedNames,
        whole: bool = False,
    ) -> None: ...

class RestOpener:
    def __init__(self, ledger: Ledger, max_request_bytes: int, direct: bool) -> None: ...
    def key_of(self, stream: Stream, scheme: str, host: bytes | None) -> bytes | None: ...
    def known(self, key: bytes | None) -> Negotiated | None: ...
    def keep(self, key: bytes, known: Negotiated) -> None: ...
    def begin(self, known: Negotiated, fields: Fields, peer: str) -> Batch: ...
