from batchwire.core import BatchHead, Route
from batchwire.core.front.forwarded_names import ForwardedNames
from batchwire.core.ledger import Account

class RouteEntry:
    route: Route
    def __init__(self, route: Route, account: Account, head: BatchHead, forwarded: ForwardedNames) -> None: ...
