"""Connections that come together are accepted in few turns of the loop, and not too many in one (PL-01).

The loop takes none while the test, which is one of its callbacks, connects the clients. Turns are counted, not seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batchwire.service.fronts.listening.accepting import TURN, TURN_TLS, Listener
from batchwire.service.fronts.listening.sockets import listening_socket
from harness.certificates import Authority
from harness.scripted import ScriptedUpstream
from in_process import whole_front

FAMILIES = ["tcp", "unix"]


class Made(asyncio.Protocol):
    """A connection that echoes. turns: how many were made in each."""

    turn: int
    turns: Counter[int]

    def __init__(self) -> None:
        self.turns[self.turn] += 1

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
def made() -> type[Made]:
    """Of this test alone."""
    return type("Mine", (Made,), {"turn": 0, "turns": Counter()})


@contextlib.contextmanager
def bound(family: str, folder: Path) -> Iterator[socket.socket]:
    with listening_socket("127.0.0.1:0" if family == "tcp" else f"unix:{folder}/s", shared=False) as sock:
        yield sock


@contextlib.contextmanager
def clients(address: Any, count: int) -> Iterator[list[socket.socket]]:
    """Connections that no loop has accepted yet."""
    with contextlib.ExitStack() as held:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        opened = [held.enter_context(socket.socket(family)) for _ in range(count)]
        for client in opened:
            client.connect(address)
            client.settimeout(10)
        yield opened


async def taken(made: type[Made], count: int) -> None:
    """Counts the turns until so many connections are made."""
    async with asyncio.timeout(30):
        while made.turns.total() < count:
            made.turn += 1
            await asyncio.sleep(0)


async def ended(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.to_thread(client.recv, 1) == b""
    return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("accepting"), "listener")


class Trusted:
    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Trusted:
    made = Trusted()
    made.context.load_cert_chain(*authority.issue())
    return made


@pytest.mark.parametrize("family", FAMILIES)
async def test_PL_01_many_are_accepted_in_a_turn_and_each_is_served(
    family: str, made: type[Made], tmp_path: Path
) -> None:
    count = 3 * TURN
    with bound(family, tmp_path) as sock:
        listener = Listener(asyncio.get_running_loop(), sock, made, None, 60)
        await listener.begin()
        with clients(sock.getsockname(), count) as opened:
            await taken(made, count)
            assert max(made.turns.values()) <= TURN
            assert len(made.turns) <= 8  # of 192, were one accepted a turn
            for client in opened:
                client.send(b"a")
                assert await asyncio.to_thread(client.recv, 2) == b"a"
        listener.close()


async def test_PL_01_tcp_connections_are_all_without_delay(made: type[Made], tmp_path: Path) -> None:
    """TCP_NODELAY, as libuv sets it, whoever accepted."""
    transports: asyncio.Queue[Any] = asyncio.Queue()
    made.connection_made = lambda _self, transport: transports.put_nowait(transport)  # type: ignore[method-assign]
    with bound("tcp", tmp_path) as sock:
        listener = Listener(asyncio.get_running_loop(), sock, made, None, 60)
        await listener.begin()
        with clients(sock.getsockname(), 5):
            for _ in range(5):
                transport = await asyncio.wait_for(transports.get(), 30)
                assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert transport.get_extra_info("peername")[0] == "127.0.0.1"
                transport.abort()
        listener.close()


async def test_PL_01_fewer_handshakes_begin_in_a_turn(
    made: type[Made], authority: Authority, tls: Trusted, tmp_path: Path
) -> None:
    count = 5 * TURN_TLS
    with bound("tcp", tmp_path) as sock:
        listener = Listener(asyncio.get_running_loop(), sock, made, tls, 60)
        await listener.begin()
        with clients(sock.getsockname(), count) as opened:
            await taken(made, count)
            assert max(made.turns.values()) <= TURN_TLS
            assert len(made.turns) <= 12
            for client in opened:
                await asyncio.to_thread(spoken, authority.trusting(), client)
        listener.close()


def spoken(context: ssl.SSLContext, client: socket.socket) -> None:
    with context.wrap_socket(client, server_hostname="localhost") as secured:
        secured.send(b"a")
        assert secured.recv(2) == b"a"


@pytest.mark.parametrize("family", FAMILIES)
async def test_OP_11_each_handshake_has_its_seconds(
    family: str, made: type[Made], tls: Trusted, tmp_path: Path
) -> None:
    with bound(family, tmp_path) as sock:
        listener = Listener(asyncio.get_running_loop(), sock, made, tls, 0.2)
        await listener.begin()
        with clients(sock.getsockname(), 5) as opened:
            assert [await ended(client) for client in opened] == [True] * 5
        listener.close()


async def test_OP_11_a_handshake_that_fails_is_no_failure_of_the_gateway(
    made: type[Made], tls: Trusted, tmp_path: Path
) -> None:
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    with bound("tcp", tmp_path) as sock:
        listener = Listener(loop, sock, made, tls, 60)
        await listener.begin()
        with clients(sock.getsockname(), 5) as opened:
            for client in opened:
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
            for client in opened:
                with contextlib.suppress(ConnectionResetError):
                    while await asyncio.to_thread(client.recv, 100):  # an alert
                        pass
        listener.close()
    assert told == []


@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("secured", [False, True])
async def test_PL_01_a_listener_closes_in_the_turn_of_accepts(
    secured: bool, made: type[Made], tls: Trusted, tmp_path: Path
) -> None:
    """Without TLS the first is libuv's; of the others none has begun. Each is closed, not left to be collected."""
    loop = asyncio.get_running_loop()
    with bound("tcp", tmp_path) as sock:
        listener = Listener(loop, sock, made, tls if secured else None, 60)
        await listener.begin()
        address = sock.getsockname()
        with clients(address, TURN_TLS) as opened:
            await taken(made, 1)
            listener.close()
            left = opened if secured else opened[1:]
            assert [await ended(client) for client in left] == [True] * len(left)
            assert secured or made.turns.total() == 1
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
    assert len(asyncio.all_tasks()) == 1


async def test_PL_01_a_protocol_that_cannot_be_made_costs_its_connection(made: type[Made], tmp_path: Path) -> None:
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    error = RuntimeError("no")

    def failing() -> Made:
        if made.turns.total() == 1:
            made.turns[-1] += 1
            raise error
        return made()

    with bound("tcp", tmp_path) as sock:
        listener = Listener(loop, sock, failing, None, 60)
        await listener.begin()
        with clients(sock.getsockname(), 3) as opened:
            assert await ended(opened[1])
            for client in (opened[0], opened[2]):
                client.send(b"a")
                assert await asyncio.to_thread(client.recv, 2) == b"a"
        listener.close()
    assert told == [error]


async def test_PL_01_a_front_answers_those_who_come_together_in_few_turns(upstream: ScriptedUpstream) -> None:
    count, answered = 50, Counter[int]()
    async with whole_front(upstream.origin) as (port, _):
        with clients(("127.0.0.1", port), count) as opened:
            for client in opened:
                client.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
                client.setblocking(False)
            waiting, turn = set(opened), 0
            async with asyncio.timeout(30):
                while waiting:
                    for client in list(waiting):
                        with contextlib.suppress(BlockingIOError):
                            assert client.recv(1000).startswith(b"HTTP/1.1 200")
                            waiting.remove(client)
                            answered[turn] += 1
                    turn += 1
                    await asyncio.sleep(0)
    assert max(answered) - min(answered) < count // 2
