"""What is wrong with a certificate or its key is told with the key of the configuration and the file (OP-09)."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest
from batchwire.service.certificates import load_pair, naming
from batchwire.service.config import ConfigurationError, TlsSettings, UpstreamSettings
from batchwire.service.fronts.listening.tls import make_context
from batchwire.service.routes import make_tls
from harness.certificates import Authority, Pair

AUTHORITY = "authority"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cert.pem and cert.key, which go together; other.key; closed.key, with a password; text; short.*, a weak pair."""
    made = tmp_path_factory.mktemp("certificates")
    authority = Authority(made, AUTHORITY)
    for name, pair in {"cert": authority.issue(), "other": authority.issue()}.items():
        pair.cert.rename(made / f"{name}.pem")
        pair.key.rename(made / f"{name}.key")
    (made / "text").write_text("no PEM at all\n")
    run = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", made / "cert.key", "-out", made / "closed.key"]
    subprocess.run(run, check=True, capture_output=True)
    short = ["openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes", "-days", "2", "-subj", "/CN=a"]
    subprocess.run([*short, "-keyout", made / "short.key", "-out", made / "short.pem"], check=True, capture_output=True)
    return made


@pytest.mark.parametrize(
    ("cert", "key", "line"),
    [
        ("none", "cert.key", "cert_file: {folder}/none: No such file or directory"),
        ("cert.pem", "none", "key_file: {folder}/none: No such file or directory"),
        ("", "cert.key", "cert_file: {folder}/: Is a directory"),
        ("text", "cert.key", "cert_file: {folder}/text: holds no certificate (PEM)"),
        ("cert.key", "cert.pem", "cert_file: {folder}/cert.key: holds no certificate (PEM)"),
        ("cert.pem", "text", "key_file: {folder}/text: holds no key (PEM) that can be used"),
        ("cert.pem", "cert.pem", "key_file: {folder}/cert.pem: holds no key (PEM) that can be used"),
        ("cert.pem", "other.key", "key_file: {folder}/other.key: is not the key of the certificate"),
        ("cert.pem", "closed.key", "key_file: {folder}/closed.key: is encrypted; the key must have no password"),
        ("short.pem", "short.key", "cert_file: {folder}/short.pem: ee key too small"),
    ],
)
def test_OP_09_a_pair_that_cannot_be_used(cert: str, key: str, line: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "listen.tls", f"{folder}/{cert}", f"{folder}/{key}")
    assert str(caught.value) == "listen.tls." + line.format(folder=folder)


def test_OP_09_a_pair_that_can(folder: Path) -> None:
    pair = Pair(folder / "cert.pem", folder / "cert.key")
    files = {"cert_file": str(pair.cert), "key_file": str(pair.key)}
    authority = str(folder / f"{AUTHORITY}.pem")
    make_context(TlsSettings(**files, client_ca_file=authority))
    make_tls("a", UpstreamSettings(url="https://h/", **files, ca_file=authority))


@pytest.mark.parametrize(
    ("file", "words"), [("none", "No such file or directory"), ("text", "holds no certificate (PEM)")]
)
def test_OP_09_authorities_that_cannot_be_used(file: str, words: str, folder: Path) -> None:
    path = str(folder / file)
    files = {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "cert.key")}
    with pytest.raises(ConfigurationError) as caught:
        make_context(TlsSettings(**files, client_ca_file=path))
    assert str(caught.value) == f"listen.tls.client_ca_file: {path}: {words}"
    with pytest.raises(ConfigurationError) as caught:
        make_tls("a", UpstreamSettings(url="https://h/", ca_file=path))
    assert str(caught.value) == f"upstreams.a.ca_file: {path}: {words}"
    with pytest.raises(ConfigurationError) as caught:
        make_tls("a", UpstreamSettings(url="https://h/", cert_file=path, key_file=files["key_file"]))
    assert str(caught.value) == f"upstreams.a.cert_file: {path}: {words}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_OP_09_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "closed.pem"
    file.touch(0o000)
    with pytest.raises(ConfigurationError) as caught, naming("listen.tls.cert_file", str(file)):
        pass
    assert str(caught.value) == f"listen.tls.cert_file: {file}: Permission denied"
