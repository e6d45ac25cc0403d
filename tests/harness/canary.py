"""Another client on a connection of its own, which must be served whatever is done to the gateway meanwhile.

Must never be the reason that a gateway is busy: it asks for little, now and then.
"""

from __future__ import annotations

import threading

from batchwire.v1 import batch_pb2

from . import grpc_client, http2
from .gateway import Gateway

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 15.0
"""For one answer; a gateway that an attack keeps busy for longer serves nobody."""


class Canary:
    """Asks again and again while the block runs, and once more after it. Every answer must be right."""

    def __init__(self, gateway: Gateway, route: str = "/svc/") -> None:
        self.served = 0
        self._gateway = gateway
        call = grpc_client.call("1", "canary")
        batch = batch_pb2.ExecuteRequest(options=grpc_client.options(route), calls=[call])
        self._message = http2.message(batch.SerializeToString())
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def __enter__(self) -> Canary:
        self._thread.start()
        assert self._began.wait(PATIENCE_SECONDS), "the gateway serves nobody even before the attack"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._thread.join(3 * PATIENCE_SECONDS)
        if kind is None:
            assert not self._thread.is_alive(), "the other client still waits"
            if self._failure is not None:
                raise AssertionError(f"the other client was not served: {self._failure!r}") from self._failure

    def _run(self) -> None:
        try:
            with http2.Raw(self._gateway.http_port, timeout=PATIENCE_SECONDS) as raw:
                stream = 1
                last = False
                while not last:
                    last = self._over.is_set()
                    self._ask(raw, stream)
                    self.served += 1
                    self._began.set()
                    stream += 4
                    self._over.wait(PAUSE_SECONDS)
        except BaseException as error:
            self._failure = error
        finally:
            self._began.set()

    def _ask(self, raw: http2.Raw, stream: int) -> None:
        # What the gateway sends is little, yet the connection's window has an end.
        raw.send(http2.window_update(0, 4096))
        health = raw.exchange(stream, http2.request())
        assert health.status == 200, health
        answer = raw.exchange(stream + 2, http2.grpc_request("Execute"), self._message)
        assert answer.grpc_status == 0, answer
        batch = batch_pb2.ExecuteResponse.FromString(answer.messages[0])
        assert [result.status for result in batch.results] == [200], batch
