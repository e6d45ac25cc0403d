"""TLS of the listeners: certificates from files, looked at again while the gateway runs.

A new certificate or client CA holds for the connections that follow; a file that cannot be used is said in the log and
changes nothing. Must never keep a key but in an SSLContext.
"""

import asyncio
import ssl
from collections.abc import Callable

from ...certificates import CertificateWatch, load_authorities, load_pair, try_all
from ...config import TlsSettings

PROTOCOLS = ("h2", "http/1.1")


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Of a server, TLS 1.2 or later. Raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(PROTOCOLS))
    trials: list[Callable[[], object]] = [
        lambda: load_pair(context, "listen.tls", settings.cert_file, settings.key_file)
    ]
    if settings.client_ca_file:
        context.verify_mode = ssl.CERT_REQUIRED
        trials.append(lambda: load_authorities(context, "listen.tls.client_ca_file", settings.client_ca_file))
    try_all(*trials)
    return context


class ListenerTls:
    """`context` is for the handshakes that begin now.

    With new files it is another one, which resumes no session that those before it began: a session that is resumed
    shows no certificate, and its client may be trusted no more. It is not refused, since clients may offer it again for
    ever, but gets a whole handshake.
    """

    def __init__(self, settings: TlsSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        files = (settings.cert_file, settings.key_file, settings.client_ca_file)
        self._watch = CertificateWatch(files, settings.reload_seconds, loop, self.reload)
        self.context = make_context(settings)
        self._watch.begin()

    def close(self) -> None:
        """Looks at the files no more."""
        self._watch.close()

    def reload(self) -> None:
        """Reads the files anew. Raises ConfigurationError."""
        self.context = make_context(self._settings)
