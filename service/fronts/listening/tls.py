"""TLS of the listeners: certificates from files, looked at again while the gateway runs.

A new certificate or client CA holds for the connections that follow; a file that cannot be used is said in the log and
changes nothing. Must never keep a key but in an SSLContext.
"""

import asyncio
import os
import ssl
import time
from typing import Any

import structlog

from ...certificates import load_pair, naming
from ...config import ConfigurationError, TlsSettings

PROTOCOLS = ("h2", "http/1.1")
_log = structlog.get_logger("batchwire")


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Of a server, TLS 1.2 or later. Raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(PROTOCOLS))
    load_pair(context, "listen.tls", settings.cert_file, settings.key_file)
    if settings.client_ca_file:
        with naming("listen.tls.client_ca_file", settings.client_ca_file):
            context.load_verify_locations(settings.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class ListenerTls:
    """`context` is what listeners are given once; each handshake goes on with the newest files."""

    def __init__(self, settings: TlsSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._newest = self.context = make_context(settings)
        self._renewed = 0.0
        self.context.sni_callback = self._choose
        self._seen = self._stamps()
        self._timer: asyncio.TimerHandle | None = loop.call_later(settings.reload_seconds, self._look)

    def close(self) -> None:
        """Looks at the files no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reload(self) -> None:
        """Reads the files anew."""
        try:
            self._newest = make_context(self._settings)
        except ConfigurationError as error:
            _log.error("certificates not reloaded", reason=str(error))
        else:
            self._renewed = time.time()
            _log.info("certificates reloaded")

    def _choose(self, handshake: Any, _name: str | None, _context: ssl.SSLContext) -> int | None:
        # Called in every handshake, with a server name or without.
        handshake.context = self._newest
        if self._settings.client_ca_file and handshake.session_reused and handshake.session.time <= self._renewed:
            # A session that is resumed shows no certificate, and its client may be trusted no more.
            return ssl.ALERT_DESCRIPTION_CERTIFICATE_EXPIRED
        return None

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._settings.reload_seconds, self._look)
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            self.reload()

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self._settings.cert_file, self._settings.key_file,
                                          self._settings.client_ca_file) if path]  # fmt: skip


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
