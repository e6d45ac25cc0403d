"""`batchwire call --cert-file --key-file`: certificates of clients, for a gateway that asks for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import config, rest
from harness.certificates import Authority, Pair
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})


class Guarded(NamedTuple):
    """A gateway that wants certificates of clients, and files for those who call it."""

    ways: dict[str, list[str]]
    trusted: Pair
    foreign: Pair


@pytest.fixture(scope="module")
def guarded(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    servers, clients, others = (Authority(folder, name) for name in ("servers", "clients", "others"))
    own, trusted = servers.issue(), clients.issue("a client")
    tls = {"cert_file": str(own.cert), "key_file": str(own.key), "client_ca_file": str(clients.cert)}
    settings = config.make(
        {"things": {"url": _things.origin + "/"}}, [{"root": "/svc/", "upstream": "things"}], listen={"tls": tls}
    )
    with Gateway(settings, folder, servers.trusting(trusted)) as gateway:
        port = gateway.grpc_address.rpartition(":")[2]
        ways = {
            "http": ["--http", f"https://localhost:{gateway.http_port}/svc/$batch"],
            "grpc": ["--grpc", f"grpcs://localhost:{port}"],
        }
        yield Guarded(
            {name: [*way, "--ca-file", str(servers.cert)] for name, way in ways.items()}, trusted, others.issue()
        )


def call(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "batchwire.service", "call", "-", *map(str, words)]
    return subprocess.run(command, input=BATCH, capture_output=True, timeout=60)


def shown(pair: Pair) -> list[str]:
    return ["--cert-file", str(pair.cert), "--key-file", str(pair.key)]


def nothing_run(made: subprocess.CompletedProcess[bytes]) -> str:
    text = made.stderr.decode()
    assert (made.returncode, made.stdout, text.count("\n")) == (2, b"", 1), text
    return text.removeprefix("batchwire call: ").rstrip("\n")


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_a_client_with_a_certificate_is_let_in(way: str, guarded: Guarded, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({}))
    made = call(*guarded.ways[way], *shown(guarded.trusted))
    assert made.returncode == 0, made.stderr
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_a_client_without_a_trusted_one_is_told_so(way: str, guarded: Guarded, upstream: ScriptedUpstream) -> None:
    for words in ([], shown(guarded.foreign)):
        made = call(*guarded.ways[way], *words)
        said = made.stderr.decode()
        assert (made.stdout, said.count("\n")) == (b"", 1)
        if way == "grpc":
            assert (made.returncode, said.partition(": U")[2][:10]) == (2, "NAVAILABLE")
        else:
            # The refusal comes behind the handshake: the batch may be on its way by then.
            assert made.returncode in (2, 3), said
            assert "the connection was closed (one that asks for client certificates takes none without" in said
    assert upstream.lines == []


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_files_that_cannot_be_used_are_named(way: str, guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    none, missing = tmp_path / "none.pem", tmp_path / "missing.pem"
    cert, key = guarded.trusted
    for pair, said in (
        (Pair(none, key), f"{none}: holds no certificate (PEM)"),
        (Pair(missing, key), f"{missing}: No such file or directory"),
        (Pair(cert, missing), f"{missing}: No such file or directory"),
        (Pair(cert, none), f"{none}: holds no key (PEM) that can be used"),
        (Pair(cert, guarded.foreign.key), f"{guarded.foreign.key}: is not the key of the certificate"),
        (Pair(missing, missing), f"{missing}: No such file or directory; {missing}: No such file or directory"),
    ):
        assert nothing_run(call(*guarded.ways[way], *shown(pair))) == said


@pytest.mark.parametrize("option", ["--cert-file", "--key-file"])
def test_one_of_them_is_not_enough(option: str, guarded: Guarded) -> None:
    made = call(*guarded.ways["http"], option, guarded.trusted.cert)
    assert made.returncode == 2
    assert b"--cert-file and --key-file go together" in made.stderr
