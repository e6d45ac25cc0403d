"""Which client a session takes for idle: one that neither sends nor takes, never one that waits for the gateway."""

import asyncio
import socket
import threading
import time

from batchwire.core import HttpUpstream, Limits, Route, Session
from batchwire.v1 import batch_pb2

IDLE = 0.2


class _Slow:
    """Answers each request on a connection after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(taken,), daemon=True).start()

    def _answer(self, taken: socket.socket) -> None:
        with taken:
            while data := taken.recv(65536):
                if b"slow" in data:
                    time.sleep(self._delay)
                taken.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def close(self) -> None:
        self._listener.close()


def test_execute_may_take_longer_than_a_client_may_be_idle() -> None:
    """Results that are gathered for the one message are nothing that its client could take."""
    upstream = _Slow(4 * IDLE)
    calls = [batch_pb2.Call(id=name, method="GET", url=name) for name in ("quick", "slow")]
    message = batch_pb2.ExecuteRequest(calls=calls).SerializeToString()

    async def run() -> batch_pb2.ExecuteResponse:
        loop = asyncio.get_running_loop()
        limits = Limits(client_idle_seconds=IDLE)
        there = HttpUpstream(loop, name="u", addresses=[("127.0.0.1", upstream.port)])
        session = Session(loop, Route(root="/svc/", upstream=there, limits=limits), dialect="proto", execute=True)
        session.feed(message)
        session.feed_end()
        await session.wait_output()
        assert session.failure is None
        assert not session.cancelled
        answer = b""
        while (chunk := session.take()) is not None:
            answer += chunk
        there.close()
        return batch_pb2.ExecuteResponse.FromString(answer)

    try:
        assert [result.status for result in asyncio.run(run()).results] == [204, 204]
    finally:
        upstream.close()
