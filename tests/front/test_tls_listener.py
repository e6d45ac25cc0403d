"""TLS and mTLS of the listeners: both protocols on one port, who is let in, new certificates without a restart."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from batch_messages import batch, execute, executed, streamed
from batchwire.v1 import batch_pb2
from harness import config, rest
from harness.certificates import Authority, Pair, put, subject
from harness.gateway import Gateway
from harness.grpc_wire import answer_of, call, head, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Reply, ScriptedUpstream, json_reply
from interop_clients import CLIENTS

EXECUTE = "/batchwire.v1.BatchService/Execute"
RELOAD = 0.1
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]


class Secured(NamedTuple):
    """A gateway with TLS. files: what it reads; client: a certificate that it accepts, if it asks for one."""

    gateway: Gateway
    authority: Authority
    files: Pair
    client_ca: Path
    client: Pair | None

    def context(self, *alpn: str) -> ssl.SSLContext:
        return self.authority.trusting(self.client, alpn)

    @property
    def port(self) -> int:
        return self.gateway.http_port


@pytest.fixture(scope="module")
def shared_secure(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A gateway with TLS whose files stay as they are."""
    with secured(_things, tmp_path_factory.mktemp("secure"), mutual=False) as made:
        yield made


@pytest.fixture(scope="module")
def shared_mutual(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A gateway with mTLS whose files stay as they are; its clients have an authority of their own."""
    with secured(_things, tmp_path_factory.mktemp("mutual"), mutual=True) as made:
        yield made


@pytest.fixture
def own_secure(_things: ScriptedUpstream, tmp_path: Path) -> Iterator[Secured]:
    """A gateway with TLS whose files a test may change."""
    with secured(_things, tmp_path, mutual=False) as made:
        yield made


@pytest.fixture
def own_mutual(_things: ScriptedUpstream, tmp_path: Path) -> Iterator[Secured]:
    """A gateway with mTLS whose files a test may change."""
    with secured(_things, tmp_path, mutual=True) as made:
        yield made


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")


@contextlib.contextmanager
def secured(upstream: ScriptedUpstream, folder: Path, *, mutual: bool, **limits: float) -> Iterator[Secured]:
    authority = Authority(folder, "servers")
    files, client_ca = Pair(folder / "live.pem", folder / "live.key"), folder / "live-clients.pem"
    install(authority.issue("first"), files)
    listen = {"front": "native"}
    tls = {"cert_file": str(files.cert), "key_file": str(files.key), "reload_seconds": RELOAD}
    client = None
    if mutual:
        clients = Authority(folder, "clients")
        client = clients.issue("a client")
        put(clients.cert, client_ca)
        tls["client_ca_file"] = str(client_ca)
    routes = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, limits, listen={**listen, "tls": tls})
    with Gateway(settings, folder, authority.trusting(client)) as gateway:
        yield Secured(gateway, authority, files, client_ca, client)


def install(pair: Pair, files: Pair) -> None:
    put(pair.key, files.key)
    put(pair.cert, files.cert)


def connect(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A connection whose handshake is over on both sides."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return context.wrap_socket(plain, server_hostname="localhost", session=session)
    except BaseException:
        plain.close()
        raise


def shown(port: int, context: ssl.SSLContext) -> str:
    """Whose certificate a new connection is shown."""
    with connect(port, context) as connection:
        return subject(connection)


def is_let_in(port: int, context: ssl.SSLContext) -> bool:
    """Whether a request on a new connection is answered. In TLS 1.3 a client learns late that it is refused."""
    try:
        with rest.Wire(port, tls=context, timeout=10) as wire:
            wire.begin("GET", "/healthz")
            return wire.answer().status == 200
    except (ssl.SSLError, ConnectionError, EOFError, rest.h11.RemoteProtocolError):
        return False


def logged(gateway: Gateway, event: str) -> int:
    return sum(entry.get("event") == event for entry in gateway.logs())


# --- TLS


@pytest.mark.parametrize("kind", CLIENTS)
def test_grpc_over_tls(kind: str, shared_secure: Secured) -> None:
    credentials = grpc.ssl_channel_credentials(shared_secure.authority.cert.read_bytes())
    port = shared_secure.gateway.grpc_address.rpartition(":")[2]
    with CLIENTS[kind](f"localhost:{port}", credentials, **{"grpc.default_authority": "localhost"}) as client:
        answer = batch_pb2.ExecuteResponse.FromString(client.unary(EXECUTE, execute("1", "2")))
    assert [result.status for result in answer.results] == [200, 200]


def test_both_protocols_on_one_port(shared_secure: Secured) -> None:
    """ALPN decides; without it the first bytes do."""
    document = rest.encode({"requests": [rest.get_call("1", "A")]})
    for offered, chosen in [(("h2", "http/1.1"), "h2"), (("h2",), "h2"), (("http/1.1",), "http/1.1"), ((), None)]:
        with connect(shared_secure.port, shared_secure.context(*offered)) as connection:
            assert connection.selected_alpn_protocol() == chosen
    for offered in (("h2",), ("h2", "http/1.1")):
        with Http2Wire(shared_secure.port, tls=shared_secure.context(*offered)) as http2:
            assert executed(call(http2, head(), execute("1"))) == {"1": 200}
            heard = http2.ask(request("POST", "/svc/$batch", JSON, scheme="https"), document)
            assert (heard.status, b'"status":200' in heard.data) == (200, True)
    for offered in (("http/1.1",), ()):
        with rest.Wire(shared_secure.port, tls=shared_secure.context(*offered)) as wire:
            fields = {"Content-Type": "application/json", "Content-Length": str(len(document)), **rest.STRICT}
            wire.begin("POST", "/svc/$batch", fields)
            wire.send(document)
            assert wire.answer().by_id()["1"]["status"] == 200


def test_much_data_both_ways(shared_secure: Secured, upstream: ScriptedUpstream) -> None:
    """Over TLS everything goes through the transport: slow readers and large writes too."""
    upstream.fallback = lambda received: Reply(200, [("Content-Type", "text/plain")], received.body[::-1] * 3)
    body = bytes(range(32, 127)) * 20_000
    calls = [rest.get_call(str(n), "B", method="post", headers={"content-type": "text/plain"}) for n in range(5)]
    for member in calls:
        member |= {"method": "post", "body": body.decode()}
    with Http2Wire(shared_secure.port, tls=shared_secure.context("h2"), receive_buffer=65536) as wire:
        stream = wire.open(request("POST", "/stream/$batch", JSON, scheme="https"))
        wire.send(stream, rest.encode({"requests": calls}), end=True)
        heard = wire.answer(stream, timeout=40)
    assert len(heard.data) > 5 * 3 * len(body)
    assert heard.data.count(b'"status":200') == 5


def test_a_client_that_vanishes(shared_secure: Secured, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    before = shared_secure.gateway.fds()
    wire = Http2Wire(shared_secure.port, tls=shared_secure.context("h2"))
    stream = wire.open(head("Batch"))
    wire.send(stream, prefixed(batch("1", url="held")))
    upstream.wait_for_calls(1)
    wire.socket.close()
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    gate.open()
    shared_secure.gateway.wait_idle()
    shared_secure.gateway.wait(lambda: shared_secure.gateway.fds() <= before, f"no more than {before} descriptors")


def test_an_answer_that_breaks_off_has_no_end(shared_secure: Secured, upstream: ScriptedUpstream) -> None:
    """ER-07 over TLS: no last chunk in HTTP/1.1, a reset in HTTP/2."""
    start, rest_of_it = b'{"requests":[{"id":"1","method":"get","url":"A"},', b"nonsense"
    with rest.Wire(shared_secure.port, tls=shared_secure.context("http/1.1")) as wire:
        fields = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
        wire.begin("POST", "/stream/$batch", fields)
        wire.chunk(start)
        assert wire.head().status == 200
        wire.chunk(rest_of_it)
        assert not wire.remainder()[1]
    with Http2Wire(shared_secure.port, tls=shared_secure.context("h2")) as http2:
        stream = http2.open(request("POST", "/stream/$batch", JSON, scheme="https"))
        http2.send(stream, start)
        http2.wait(lambda: bool(http2.heard[stream].data), "the first result")
        http2.send(stream, rest_of_it)
        assert http2.answer(stream).reset is not None
        assert not http2.heard[stream].ended


def test_what_is_no_tls_gets_nothing(shared_secure: Secured) -> None:
    for sent in (
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\0\x05hello",
    ):
        with socket.create_connection(("127.0.0.1", shared_secure.port), timeout=10) as plain:
            plain.sendall(sent)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while piece := plain.recv(4096):
                    answer += piece
            assert not answer.startswith((b"HTTP/", b"\0\0"))
            assert b"ok" not in answer
    assert is_let_in(shared_secure.port, shared_secure.context())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_versions_of_tls_are_refused(shared_secure: Secured) -> None:
    context = shared_secure.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(shared_secure.port, context)
    context = shared_secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert is_let_in(shared_secure.port, context)


def test_a_client_that_does_not_trust_the_authority(shared_secure: Secured, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(shared_secure.port, Authority(tmp_path, "others").trusting())
    assert is_let_in(shared_secure.port, shared_secure.context())


# --- mTLS


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def at_version(request: pytest.FixtureRequest) -> Callable[[ssl.SSLContext], ssl.SSLContext]:
    """Ties a context to a version of TLS: the two refuse clients at different times."""

    def tie(context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = context.maximum_version = request.param
        return context

    return tie


def test_who_is_let_in(
    shared_mutual: Secured, at_version: Callable[[ssl.SSLContext], ssl.SSLContext], tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "strangers").issue("a client")
    assert is_let_in(shared_mutual.port, at_version(shared_mutual.context()))
    assert not is_let_in(shared_mutual.port, at_version(shared_mutual.authority.trusting()))
    assert not is_let_in(shared_mutual.port, at_version(shared_mutual.authority.trusting(stranger)))
    # The authority of the gateway's own certificate is none for clients.
    assert not is_let_in(
        shared_mutual.port, at_version(shared_mutual.authority.trusting(shared_mutual.authority.issue("a client")))
    )
    assert is_let_in(shared_mutual.port, at_version(shared_mutual.context()))


@pytest.mark.parametrize("known", [False, True], ids=["no certificate", "of a stranger"])
def test_OP_26_who_is_not_let_in_is_in_the_log_with_the_reason(
    known: bool, own_mutual: Secured, at_version: Callable[[ssl.SSLContext], ssl.SSLContext], tmp_path: Path
) -> None:
    client = Authority(tmp_path, "strangers").issue("a client") if known else None
    assert not is_let_in(own_mutual.port, at_version(own_mutual.authority.trusting(client)))
    own_mutual.gateway.wait(lambda: logged(own_mutual.gateway, "TLS handshake failed") > 0, "the line in the log")
    [line] = [entry for entry in own_mutual.gateway.logs() if entry.get("event") == "TLS handshake failed"]
    assert line["level"] == "warning"
    assert line["reason"] == ("certificate verify failed" if known else "peer did not return a certificate")
    assert line["address"].startswith("127.0.0.1:")


@pytest.mark.parametrize("kind", CLIENTS)
def test_grpc_over_mtls(kind: str, shared_mutual: Secured) -> None:
    assert shared_mutual.client is not None
    root = shared_mutual.authority.cert.read_bytes()
    port = shared_mutual.gateway.grpc_address.rpartition(":")[2]
    known = grpc.ssl_channel_credentials(
        root, shared_mutual.client.key.read_bytes(), shared_mutual.client.cert.read_bytes()
    )
    authority = {"grpc.default_authority": "localhost"}
    with CLIENTS[kind](f"localhost:{port}", known, **authority) as client:
        answer = batch_pb2.ExecuteResponse.FromString(client.unary(EXECUTE, execute("1")))
        assert [result.status for result in answer.results] == [200]
    with CLIENTS[kind](f"localhost:{port}", grpc.ssl_channel_credentials(root), **authority) as client:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary(EXECUTE, execute("1"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


# --- new files


def test_a_new_certificate_without_a_restart(own_secure: Secured, upstream: ScriptedUpstream) -> None:
    """Connections that are there go on under the old one."""
    assert shown(own_secure.port, own_secure.context()) == "first"
    with Http2Wire(own_secure.port, tls=own_secure.context("h2")) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, prefixed(batch("1")))
        upstream.wait_for_calls(1)
        install(own_secure.authority.issue("second"), own_secure.files)
        own_secure.gateway.wait(lambda: shown(own_secure.port, own_secure.context()) == "second", "the new certificate")
        wire.send(stream, prefixed(batch("2", first=False)), end=True)
        assert streamed(answer_of(wire.answer(stream))) == {"1": 200, "2": 200}
    with connect(own_secure.port, own_secure.context("h2", "http/1.1")) as connection:
        assert (subject(connection), connection.selected_alpn_protocol()) == ("second", "h2")
    install(own_secure.authority.issue("third"), own_secure.files)
    own_secure.gateway.wait(lambda: shown(own_secure.port, own_secure.context()) == "third", "the third certificate")


def test_a_client_that_names_no_server_is_shown_the_new_one_too(own_secure: Secured) -> None:
    install(own_secure.authority.issue("second"), own_secure.files)
    context = own_secure.context()
    context.check_hostname = False

    def unnamed() -> str:
        with (
            socket.create_connection(("127.0.0.1", own_secure.port), timeout=10) as plain,
            context.wrap_socket(plain) as tls,
        ):
            return subject(tls)

    own_secure.gateway.wait(lambda: unnamed() == "second", "the new certificate")


@pytest.mark.parametrize("broken", ["no pem", "empty", "gone", "key of another"])
def test_a_file_that_cannot_be_used_changes_nothing(broken: str, own_secure: Secured) -> None:
    """The old certificate stays, the log says why, and a good file is taken afterwards."""
    other = own_secure.authority.issue("other")
    if broken == "gone":
        own_secure.files.cert.unlink()
    elif broken == "key of another":
        put(other.key, own_secure.files.key)
    else:
        own_secure.files.cert.write_bytes(b"" if broken == "empty" else b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    own_secure.gateway.wait(lambda: logged(own_secure.gateway, "certificates not reloaded") > 0, "a word in the log")
    [said, *_] = [entry for entry in own_secure.gateway.logs() if entry.get("event") == "certificates not reloaded"]
    assert (said["level"], bool(said["reason"])) == ("error", True)
    assert shown(own_secure.port, own_secure.context()) == "first"
    assert is_let_in(own_secure.port, own_secure.context())
    install(other, own_secure.files)
    own_secure.gateway.wait(lambda: shown(own_secure.port, own_secure.context()) == "other", "the good certificate")


def test_a_new_client_authority_without_a_restart(
    own_mutual: Secured, at_version: Callable[[ssl.SSLContext], ssl.SSLContext], tmp_path: Path
) -> None:
    newer = Authority(tmp_path, "newer-clients")
    old, new = at_version(own_mutual.context()), at_version(own_mutual.authority.trusting(newer.issue("a client")))
    assert is_let_in(own_mutual.port, old)
    assert not is_let_in(own_mutual.port, new)
    put(newer.cert, own_mutual.client_ca)
    own_mutual.gateway.wait(lambda: is_let_in(own_mutual.port, new), "the new authority")
    assert not is_let_in(own_mutual.port, old)
    own_mutual.gateway.tls = new
    own_mutual.gateway.wait_idle()


def test_a_broken_client_authority_keeps_the_old_one(own_mutual: Secured) -> None:
    own_mutual.client_ca.write_bytes(b"no certificates at all")
    own_mutual.gateway.wait(lambda: logged(own_mutual.gateway, "certificates not reloaded") > 0, "a word in the log")
    assert is_let_in(own_mutual.port, own_mutual.context())
    assert not is_let_in(own_mutual.port, own_mutual.authority.trusting())


def test_a_session_does_not_outlive_the_trust_in_its_client(
    own_mutual: Secured, at_version: Callable[[ssl.SSLContext], ssl.SSLContext], tmp_path: Path
) -> None:
    """A client that was let in once cannot come back by resuming its session when its authority is trusted no more."""
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    old = at_version(own_mutual.context())

    def first_words(session: ssl.SSLSession | None) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
        """What a connection is answered, whether it resumed the session, and its own."""
        with contextlib.suppress(ssl.SSLError, ConnectionError), connect(own_mutual.port, old, session) as connection:
            connection.sendall(ask)
            return connection.recv(4096), connection.session_reused, connection.session
        return b"", None, None

    answer, _, session = first_words(None)
    assert answer.startswith(b"HTTP/1.1 200")
    answer, reused, session = first_words(session)
    assert (answer[:12], reused) == (b"HTTP/1.1 200", True)
    newer = Authority(tmp_path, "newer-clients")
    new = at_version(own_mutual.authority.trusting(newer.issue("a client")))
    put(newer.cert, own_mutual.client_ca)
    own_mutual.gateway.wait(lambda: is_let_in(own_mutual.port, new), "the new authority")
    assert first_words(session)[0] == b""
    assert first_words(None)[0] == b""
    put(tmp_path / "clients.pem", own_mutual.client_ca)
    own_mutual.gateway.wait(lambda: first_words(None)[0].startswith(b"HTTP/1.1 200"), "the old authority again")


def test_OP_20_a_session_from_before_a_renewal_is_not_refused(
    own_mutual: Secured, at_version: Callable[[ssl.SSLContext], ssl.SSLContext]
) -> None:
    """nginx and Envoy offer it again for ever: it gets a whole handshake, and is resumed no more."""
    client = at_version(own_mutual.context())
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    def resumed(session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        with connect(own_mutual.port, client, session) as connection:
            connection.sendall(ask)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            return connection.session_reused, connection.session

    _, session = resumed(None)
    assert resumed(session)[0] is True
    install(own_mutual.authority.issue("localhost"), own_mutual.files)
    own_mutual.gateway.wait(lambda: logged(own_mutual.gateway, "certificates reloaded") > 0, "the new certificate")
    for _ in range(3):
        assert resumed(session)[0] is False
    _, session = resumed(None)
    assert resumed(session)[0] is True


@pytest.mark.parametrize("way", ["--http", "--grpc"])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_command_calls_over_tls(
    way: str, trusted: bool, shared_secure: Secured, upstream: ScriptedUpstream
) -> None:
    port = shared_secure.port if way == "--http" else shared_secure.gateway.grpc_address.rpartition(":")[2]
    address = f"https://localhost:{port}/svc/$batch" if way == "--http" else f"grpcs://localhost:{port}"
    ca_file = ["--ca-file", str(shared_secure.authority.cert)] if trusted else []
    made = subprocess.run(
        [sys.executable, "-m", "batchwire.service", "call", "-", way, address, *ca_file],
        input=b'{"requests":[{"id":"1","method":"get","url":"A"}]}',
        capture_output=True,
        timeout=30,
    )
    assert made.returncode == (0 if trusted else 2), made.stderr
    assert len(upstream.log) == trusted


@pytest.mark.parametrize("sent", ["nothing", "half of a hello", "a hello and no more"])
def test_OP_11_a_handshake_that_stops_is_cut(sent: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with secured(upstream, tmp_path, mutual=False, client_idle_seconds=2) as made:
        hello = made.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            hello.do_handshake()
        data = outgoing.read()
        pieces = {"nothing": b"", "half of a hello": data[: len(data) // 2], "a hello and no more": data}
        with socket.create_connection(("127.0.0.1", made.port), timeout=15) as client:
            client.sendall(pieces[sent])
            with contextlib.suppress(ConnectionResetError):
                while client.recv(65536):
                    pass
