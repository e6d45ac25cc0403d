"""Certificates and keys from files, each thing that is wrong told with its key and its file (OP-09)."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from .config import ConfigurationError

_OTHER_KEY = "KEY_VALUES_MISMATCH"
_WORDS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "holds no certificate (PEM)",
    _OTHER_KEY: "is not the key of the certificate",
}


@contextmanager
def naming(key: str, path: str) -> Iterator[None]:
    """What is wrong with a file, as ConfigurationError with the key that names it."""
    try:
        with open(path, "rb"):  # OpenSSL does not say which file it could not read
            pass
        yield
    except OSError as error:
        raise ConfigurationError(f"{key}: {path}: {_words(error)}") from None


def load_pair(context: ssl.SSLContext, section: str, cert_file: str, key_file: str) -> None:
    """A certificate and its key. Raises ConfigurationError."""
    with naming(f"{section}.cert_file", cert_file):
        # Of a pair, OpenSSL does not say which one it cannot read, so the certificates are read alone first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert_file)
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


def _words(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    if reason:
        return _WORDS.get(reason, reason.lower().replace("_", " "))
    return error.strerror or str(error)


def _no_password() -> str:
    """Without it, OpenSSL would ask for a password at the terminal."""
    raise OSError(None, "is encrypted; the key must have no password")
