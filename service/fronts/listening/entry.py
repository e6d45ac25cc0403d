"""The first bytes of a connection tell HTTP/2 from HTTP/1.1, whatever ALPN or nobody has said.

Hands the transport on with what was read. Must never answer anything.
"""

import asyncio
from collections.abc import Callable
from typing import Any

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113 3.4."""


class Entry(asyncio.Protocol):
    """http1, http2: make the protocol that goes on. seconds: for the first bytes."""

    def __init__(
        self, http1: Callable[[], Any], http2: Callable[[], Any], loop: asyncio.AbstractEventLoop, seconds: float
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._loop = loop
        self._seconds = seconds
        self._read = b""
        self._transport: Any = None
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._alarm = self._loop.call_later(self._seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_alarm()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        read = self._read = self._read + data if self._read else data
        if read.startswith(PREFACE):
            self._hand_over(self._http2())
        elif not PREFACE.startswith(read):
            self._hand_over(self._http1())

    def _hand_over(self, protocol: Any) -> None:
        self._stop_alarm()
        transport, read = self._transport, self._read
        self._transport, self._read = None, b""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(read)

    def _late(self) -> None:
        self._alarm = None
        if self._transport is None:
            return
        if self._read:
            # "P" may begin a POST as well as the preface; HTTP/1.1 has an answer for a head that does not end.
            self._hand_over(self._http1())
        else:
            self._transport.abort()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
