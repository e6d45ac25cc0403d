"""Certificates and keys from files, each thing that is wrong told with its key and its file (OP-09).

The files are looked at again while the gateway runs (OP-20).
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from .config import ConfigurationError

_OTHER_KEY = "KEY_VALUES_MISMATCH"
_WORDS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "holds no certificate (PEM)",
    _OTHER_KEY: "is not the key of the certificate",
}


_log = structlog.get_logger("batchwire")


class CertificateWatch:
    """Has files read anew when they have changed, from begin() on each so many seconds.

    Made before they are read for the first time. reload: raises ConfigurationError for what cannot be used; the log
    says so, and it is called at each look until it succeeds, because files may change while they are read. fields: of
    the log lines.
    """

    def __init__(
        self,
        paths: Iterable[str],
        seconds: float,
        loop: asyncio.AbstractEventLoop,
        reload: Callable[[], None],
        **fields: Any,
    ) -> None:
        self._paths = [path for path in paths if path]
        self._seconds = seconds
        self._loop = loop
        self._reload = reload
        self._fields = fields
        self._seen = self._stamps()
        self._complaint = ""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Looks from now on."""
        if self._paths:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.begin()
        stamps = self._stamps()
        if stamps == self._seen and not self._complaint:
            return
        self._seen = stamps
        try:
            self._reload()
        except ConfigurationError as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                _log.error("certificates not reloaded", reason=self._complaint, **self._fields)
        else:
            self._complaint = ""
            _log.info("certificates reloaded", **self._fields)

    def _stamps(self) -> list[tuple[int, ...] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: str) -> tuple[int, ...] | None:
    """What changes with the content, also where links lead elsewhere."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


@contextmanager
def naming(key: str, path: str) -> Iterator[None]:
    """What is wrong with a file, as ConfigurationError with the key that names it."""
    try:
        with open(path, "rb"):  # OpenSSL does not say which file it could not read
            pass
        yield
    except OSError as error:
        raise ConfigurationError(f"{key}: {path}: {_words(error)}") from None


def try_all(*trials: Callable[[], object]) -> None:
    """Tries each, and raises ConfigurationError with a line for each thing that is wrong."""
    wrong = []
    for trial in trials:
        try:
            trial()
        except ConfigurationError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def load_authorities(context: ssl.SSLContext, key: str, path: str) -> None:
    """Whom the context trusts besides. Raises ConfigurationError."""
    with naming(key, path):
        context.load_verify_locations(path)


def load_pair(context: ssl.SSLContext, section: str, cert_file: str, key_file: str) -> None:
    """A certificate and its key. Raises ConfigurationError."""
    # Of a pair, OpenSSL does not say which one it cannot read, so the certificates are read alone first.
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try_all(
        lambda: load_authorities(alone, f"{section}.cert_file", cert_file),
        lambda: _look_at(f"{section}.key_file", key_file),
    )
    with naming(f"{section}.key_file", key_file):
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except ssl.SSLError as error:
            if not error.reason:
                raise OSError(None, "holds no key (PEM) that can be used") from None
            if error.reason != _OTHER_KEY:
                # The certificate can be read, but not be used: its key is too short, its digest too weak.
                raise ConfigurationError(f"{section}.cert_file: {cert_file}: {_words(error)}") from None
            raise


def _look_at(key: str, path: str) -> None:
    with naming(key, path):
        pass


def _words(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    if reason:
        return _WORDS.get(reason, reason.lower().replace("_", " "))
    return error.strerror or str(error)


def _no_password() -> str:
    """Without it, OpenSSL would ask for a password at the terminal."""
    raise OSError(None, "is encrypted; the key must have no password")
