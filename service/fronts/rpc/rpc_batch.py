"""One call of BatchService as messages, whoever carries them: what grpcio's front, gRPC-Web and Connect have in common.

The native front's own gRPC does the same in the core (core/front/batch_rpc.pyx). Must never hold more than one chunk of
an answer that streams, nor that longer than who takes it.
"""

from collections.abc import AsyncIterator, Callable

from batchwire.core import EnvelopeError, Session
from batchwire.core.ledger import Batch
from google.api.httpbody_pb2 import HttpBody

from ...state import Ending, stopped
from .connect_json import varint
from .rpc_servicer import Metadata, RpcServicer, parsed

METHODS = ("Execute", "Batch", "BatchJson", "BatchHttp")
_DOCUMENTS = ("BatchJson", "BatchHttp")


class RpcBatch:
    """method: one of METHODS. seconds: to the call's deadline, None for none.

    batch: None until the first message has opened it; initial: metadata that go before the answer, then. on_open: is
    told of its session before that is fed. keeps: who takes the answer says what is kept of it (AN-05).
    """

    def __init__(
        self, servicer: RpcServicer, method: str, metadata: Metadata, peer: str, seconds: float | None
    ) -> None:
        self._servicer = servicer
        self._method = method
        self._metadata = metadata
        self._peer = peer
        self._seconds = seconds
        self._content_type = ""
        self.batch: Batch | None = None
        self.on_open: Callable[[Session], None] = lambda _: None
        self.keeps = False
        self.initial: list[tuple[bytes, bytes]] = []

    def feed(self, message: bytes) -> None:
        """Takes a message of the client. Raises EnvelopeError, which failed() takes."""
        if self.batch is not None and self._method == "Execute":
            raise EnvelopeError(501, "TooManyMessages", "Execute takes one message")
        document = parsed(message, HttpBody) if self._method in _DOCUMENTS else None
        if self.batch is None:
            self._open(message, document)
        assert self.batch is not None
        self.batch.session.feed(message if document is None else document.data)

    def _open(self, message: bytes, document: HttpBody | None) -> None:
        common = self._metadata, self._peer, self._seconds
        if document is None:
            self.batch = self._servicer.open(message, *common, self._method == "Execute")
        else:
            self.batch, self._content_type, self.initial = self._servicer.open_document(
                document.content_type, *common, self._method == "BatchJson"
            )
        self.on_open(self.batch.session)

    def feed_end(self) -> None:
        """The client has said all. Raises EnvelopeError, which failed() takes."""
        if self.batch is None:
            if self._method == "Execute":
                raise EnvelopeError(501, "NoMessage", "Execute takes one message")
            self.feed(b"")
        assert self.batch is not None
        self.batch.session.feed_end()

    def failed(self, error: EnvelopeError) -> bool:
        """What feed() and others raised breaks the batch off; false: there is none, and the call ends with it."""
        if self.batch is None:
            self._servicer.refused(error, self._peer)
            return False
        self.batch.session.fail(error.again())
        return True

    async def answer(self) -> AsyncIterator[list[bytes]]:
        """The messages of the answer, each in pieces, which who takes them lets go of by emptying the list.

        Raises EnvelopeError where the call ends with an error.
        """
        assert self.batch is not None
        session = self.batch.session
        whole: list[bytes] = []
        while True:
            await session.wait_output()
            # One at a time: what is added while a message is sent may travel with what follows.
            chunk = session.take(self.keeps)
            if chunk is None:
                if session.finished:
                    break
            elif self._method == "Execute":
                whole.append(chunk)
            else:
                pieces = [chunk] if not self._content_type else [_body_head(self._content_type, len(chunk)), chunk]
                del chunk
                yield pieces
        if session.failure is not None:
            raise session.failure.again()
        if session.cancelled:
            raise stopped(session)
        if self._method == "Execute":
            yield whole

    def stalled(self) -> None:
        """The client has taken nothing for too long."""
        assert self.batch is not None
        self.batch.session.client_stalled()
        self.close("cancelled")

    def close(self, ended: Ending) -> None:
        """The call is over. A second time does nothing."""
        if self.batch is not None:
            self.batch.close(ended)


def _body_head(content_type: str, size: int) -> bytes:
    """What stands before so many bytes of data in an HttpBody."""
    whole: bytes = HttpBody(content_type=content_type).SerializeToString()
    return whole + bytes([HttpBody.DATA_FIELD_NUMBER << 3 | 2]) + varint(size)
