"""What a batch has been promised: one result a call and a summary at the end. No I/O."""

import grpc

from .errors import BatchError


class Promised:
    """The ids of calls that were handed over and are not answered yet; as many as the gateway has unfinished."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def call(self, id: str) -> None:
        """A call that is about to be sent."""
        self._ids.add(id)

    def result(self, id: str) -> None:
        """A result that came. Raises BatchError when no call waits for it."""
        try:
            self._ids.remove(id)
        except KeyError:
            raise broken(f"a result came twice, or for a call that was not sent: {id[:100]!r}") from None

    def end(self, summarised: bool) -> None:
        """The answer has ended well, by gRPC's account. Raises BatchError when it is not whole."""
        if self._ids:
            raise broken(f"the answer ended without the results of {len(self._ids)} calls")
        if not summarised:
            raise broken("the answer ended without a summary")


def broken(message: str) -> BatchError:
    """The error of an answer that breaks the protocol."""
    return BatchError(grpc.StatusCode.INTERNAL, message, "BrokenAnswer")


def closed() -> BatchError:
    """The error of a batch whose client or batch was closed meanwhile."""
    return BatchError(grpc.StatusCode.CANCELLED, "the client or the batch was closed", "Closed")
