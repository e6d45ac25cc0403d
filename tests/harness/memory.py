"""How much memory a gateway takes while something is done to it."""

from __future__ import annotations

import threading

from .gateway import Gateway


class Peak(threading.Thread):
    """Watches the memory of the gateway until `stop()`, which gives the growth in bytes."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self._gateway = gateway
        self._done = threading.Event()
        self._before = gateway.rss()
        self._peak = self._before
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.05):
            self._peak = max(self._peak, self._gateway.rss())

    def stop(self) -> int:
        self._done.set()
        self.join()
        return max(self._peak, self._gateway.rss()) - self._before
