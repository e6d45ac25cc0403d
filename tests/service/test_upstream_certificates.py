"""Certificates of upstreams that change while the gateway runs (OP-20)."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import config
from harness.batches import REST, Call, run_batch
from harness.certificates import Authority, Pair, put, subject
from harness.gateway import Gateway

RELOAD = 0.1


class TlsUpstream:
    """Answers each request with the name in the client's certificate and the number of the connection.

    `context` may be replaced: it is that of the connections that follow. While `gate` is closed, a request for /held
    waits; `held` says that one does.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.gate, self.held = threading.Event(), threading.Event()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self.gate.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # ends with the listener
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain, self.context), daemon=True).start()

    def _serve(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            number, self.connections = self.connections, self.connections + 1
            while head := connection.recv(65536):
                if head.startswith(b"GET /held"):
                    self.held.set()
                    self.gate.wait(60)
                body = f"{subject(connection)} {number}".encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                connection.sendall(body)


def server_context(authority: Authority, *clients: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.issue()
    context.load_cert_chain(pair.cert, pair.key)
    for client in clients:
        context.load_verify_locations(client.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Scene:
    """A gateway before a TLS upstream. files: what the gateway reads for it; ca: the authority that it trusts."""

    def __init__(self, folder: Path, live: Path, workers: int = 1) -> None:
        self.folder = folder
        self.servers, self.clients = Authority(folder, "servers"), Authority(folder, "clients")
        self.files, self.ca = Pair(live / "client.pem", live / "client.key"), live / "ca.pem"
        self.upstream = TlsUpstream(server_context(self.servers, self.clients))
        self._workers = workers

    def settings(self) -> config.Config:
        upstream = {
            "url": f"https://localhost:{self.upstream.port}/",
            "cert_file": str(self.files.cert),
            "key_file": str(self.files.key),
            "ca_file": str(self.ca),
            "reload_seconds": RELOAD,
        }
        routes: list[config.Config] = [{"root": "/svc/", "upstream": "safe"}]
        return config.make({"safe": upstream}, routes, listen={"workers": self._workers})

    def install(self, pair: Pair) -> None:
        put(pair.key, self.files.key)
        put(pair.cert, self.files.cert)


def ask(gateway: Gateway, url: str = "x") -> tuple[int, str]:
    [result] = run_batch(REST, gateway, [Call("1", url)])
    return result.status, result.body.decode()


def logged(gateway: Gateway, event: str) -> list[dict[str, object]]:
    return [entry for entry in gateway.logs() if entry.get("event") == event]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    live = tmp_path / "live"
    live.mkdir()
    made = Scene(tmp_path, live)
    put(made.servers.cert, made.ca)
    made.install(made.clients.issue("first"))
    yield made
    made.upstream.close()


def test_OP_20_a_new_client_certificate_without_a_restart(scene: Scene) -> None:
    with Gateway(scene.settings(), scene.folder) as gateway:
        assert [ask(gateway) for _ in range(3)] == [(200, "first 0")] * 3
        scene.install(scene.clients.issue("second"))
        gateway.wait(lambda: ask(gateway)[1].startswith("second"), "the new certificate")
        [number] = {ask(gateway)[1] for _ in range(3)}
        assert number.startswith("second")  # and its connection is kept
        [said, *_] = logged(gateway, "certificates reloaded")
        assert (said["upstream"], said["level"]) == ("safe", "info")


def test_OP_20_a_connection_that_carries_a_call_ends_behind_it(scene: Scene) -> None:
    answers: list[tuple[int, str]] = []
    with Gateway(scene.settings(), scene.folder) as gateway:
        asking = threading.Thread(target=lambda: answers.append(ask(gateway, "held")))
        asking.start()
        assert scene.upstream.held.wait(20)
        scene.install(scene.clients.issue("second"))
        gateway.wait(lambda: ask(gateway)[1].startswith("second"), "the new certificate")
        scene.upstream.gate.set()
        asking.join(20)
        assert answers == [(200, "first 0")]
        gateway.wait(
            lambda: gateway.metrics()['batchwire_upstream_connections{upstream="safe"}'] == 1, "one connection"
        )
        assert {ask(gateway)[1][:6] for _ in range(3)} == {"second"}


def test_OP_20_a_new_authority_of_the_server(scene: Scene) -> None:
    newer = Authority(scene.folder, "newer-servers")
    with Gateway(scene.settings(), scene.folder) as gateway:
        assert ask(gateway) == (200, "first 0")
        scene.upstream.context = server_context(newer, scene.clients)
        put(newer.cert, scene.ca)
        gateway.wait(lambda: ask(gateway) != (200, "first 0"), "the new authority")
        assert ask(gateway)[0] == 200
        put(scene.servers.cert, scene.ca)
        gateway.wait(lambda: ask(gateway)[0] == 502, "the old authority, which the server has no certificate of")


def test_OP_20_a_pair_that_is_half_written_changes_nothing(scene: Scene) -> None:
    second = scene.clients.issue("second")
    with Gateway(scene.settings(), scene.folder) as gateway:
        assert ask(gateway) == (200, "first 0")
        put(second.key, scene.files.key)
        gateway.wait(lambda: bool(logged(gateway, "certificates not reloaded")), "a word in the log")
        assert ask(gateway) == (200, "first 0")
        # A file that is being written is looked at again and again, and said once.
        scene.files.cert.write_bytes(second.cert.read_bytes()[:200])
        gateway.wait(lambda: len(logged(gateway, "certificates not reloaded")) == 2, "another reason")
        assert ask(gateway) == (200, "first 0")
        scene.files.cert.write_bytes(second.cert.read_bytes())
        gateway.wait(lambda: ask(gateway)[1].startswith("second"), "the whole pair")
        reasons = [said["reason"] for said in logged(gateway, "certificates not reloaded")]
        assert reasons[0] == f"upstreams.safe.key_file: {scene.files.key}: is not the key of the certificate"
        assert len(reasons) == len(set(map(str, reasons)))


def test_OP_20_links_that_lead_elsewhere(tmp_path: Path) -> None:
    """As Kubernetes renews a secret: files are links through ..data, which is replaced in one step."""
    live = tmp_path / "live"
    live.mkdir()
    scene = Scene(tmp_path, live)

    def turn(version: str, pair: Pair) -> None:
        folder = live / f"..{version}"
        folder.mkdir()
        for source, name in ((pair.cert, "client.pem"), (pair.key, "client.key"), (scene.servers.cert, "ca.pem")):
            (folder / name).write_bytes(source.read_bytes())
        (live / "..new").symlink_to(folder.name)
        os.replace(live / "..new", live / "..data")

    turn("1", scene.clients.issue("first"))
    for name in ("client.pem", "client.key", "ca.pem"):
        (live / name).symlink_to(f"..data/{name}")
    with Gateway(scene.settings(), tmp_path) as gateway:
        assert ask(gateway) == (200, "first 0")
        turn("2", scene.clients.issue("second"))
        gateway.wait(lambda: ask(gateway)[1].startswith("second"), "the new secret")
        assert not logged(gateway, "certificates not reloaded")
    scene.upstream.close()


def test_OP_20_each_worker_reads_them(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    scene = Scene(tmp_path, live, workers=2)
    put(scene.servers.cert, scene.ca)
    scene.install(scene.clients.issue("first"))
    with Gateway(scene.settings(), tmp_path) as gateway:
        assert ask(gateway)[0] == 200
        second = scene.clients.issue("second")
        scene.install(second)
        gateway.wait(lambda: len(logged(gateway, "certificates reloaded")) >= 2, "a word of each worker")
        gateway.wait(lambda: ask(gateway)[1].startswith("second"), "the new certificate")
    scene.upstream.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_OP_18_an_upstream_that_refuses_the_certificate_is_told(version: ssl.TLSVersion, scene: Scene) -> None:
    """With TLS 1.3 that comes when the gateway has its handshake behind it."""
    scene.upstream.context = server_context(scene.servers, Authority(scene.folder, "others"))
    scene.upstream.context.maximum_version = version
    with Gateway(scene.settings(), scene.folder) as gateway:
        assert ask(gateway)[0] == 502
        gateway.wait(lambda: bool(logged(gateway, "an upstream cannot be reached")), "a word in the log")
        [said] = logged(gateway, "an upstream cannot be reached")
        assert (said["upstream"], said["address"]) == ("safe", f"localhost:{scene.upstream.port}")
        assert "unknown ca" in str(said["reason"]).lower()
