"""Certificates for the tests of TLS, made by the openssl program: authorities, and what they sign.

Keys are for this machine and two days. Must never be used for anything that is not a test.
"""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Pair(NamedTuple):
    """Files of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A CA with a name of its own; its certificate is `cert`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._made = 0
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *_KEY, "-days", "2", "-keyout", self._key, "-out", self.cert, "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )

    def issue(self, name: str = "localhost") -> Pair:
        """A certificate of localhost and 127.0.0.1, for servers and clients, with `name` as its subject."""
        self._made += 1
        base = self._folder / f"{self._name}-{self._made}"
        pair = Pair(base.with_suffix(".pem"), base.with_suffix(".key"))
        _openssl(
            *("req", "-x509", *_KEY, "-days", "2", "-keyout", pair.key, "-out", pair.cert, "-subj", f"/CN={name}"),
            *("-CA", self.cert, "-CAkey", self._key, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
        return pair

    def trusting(self, client: Pair | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """The context of a client that trusts this authority, with a certificate of its own or none."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def put(source: Path, target: Path) -> None:
    """Replaces a file in one step, as tools that renew certificates do."""
    draft = target.with_name(target.name + ".new")
    draft.write_bytes(source.read_bytes())
    os.replace(draft, target)


def subject(connection: ssl.SSLSocket) -> str:
    """The name in the certificate that the other side has shown."""
    shown = connection.getpeercert()
    assert shown is not None
    return str(dict(field for (field,) in shown["subject"])["commonName"])


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"
