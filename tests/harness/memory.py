"""How much memory a gateway takes while something is done to it: `with Peak(gateway) as peak: ...`, `peak.grown`."""

from __future__ import annotations

import threading
from types import TracebackType

from .gateway import Gateway


class Peak:
    """Watches the resident memory of the gateway; `grown`: bytes of its peak above what it was before."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._done = threading.Event()
        self._before = self._peak = gateway.rss()
        self._watch = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._done.wait(0.05):
            self._peak = max(self._peak, self._gateway.rss())

    def __enter__(self) -> Peak:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._done.set()
        self._watch.join()
        self._peak = max(self._peak, self._gateway.rss())

    @property
    def grown(self) -> int:
        return self._peak - self._before
