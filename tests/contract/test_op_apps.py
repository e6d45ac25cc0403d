"""Applications in the process: what one call leaves behind, how it may fail, and how it starts and ends (OP)."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from harness import config, rest
from harness.batches import Call, run_batch, statuses
from harness.gateway import Gateway
from harness.http2_wire import Http2Wire, request
from own_apps import HALVES, HOW, MESSAGES, WHOLE

HERE = Path(__file__).parent


def settings_of(app: str = "app", limits: dict[str, Any] | None = None, **listen: Any) -> config.Config:
    upstreams = {"own": {"app": f"own_apps:{app}", "max_in_flight": 3, "startup_timeout_seconds": 1}}
    routes = [{"root": "/svc/", "upstream": "own", "default": True, "serve_app": True}]
    return config.make(upstreams, routes, limits, listen=listen)


def begun(settings: config.Config, folder: Path) -> Gateway:
    """Started where the app's module is found."""
    gateway = Gateway(settings, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        gateway.start()
    return gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = begun(settings_of(limits={"max_header_bytes": 4096}), tmp_path_factory.mktemp("own"))
    yield running
    running.terminate()
    assert running.process.wait(20) == 0


@pytest.fixture
def own_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts one with these keys of [listen]."""
    started: list[Gateway] = []

    def start(**listen: Any) -> Gateway:
        started.append(begun(settings_of(**listen), tmp_path))
        return started[-1]

    yield start
    for gateway in started:
        gateway.kill()


def within(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def bodies(gateway: Gateway, urls: list[str]) -> list[Any]:
    document = {"requests": [rest.get_call(str(n), url) for n, url in enumerate(urls)]}
    by_id = rest.post(gateway.http_port, document).by_id()
    return [by_id[str(n)]["body"] for n in range(len(urls))]


def get(gateway: Gateway, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


# --- contexts


def test_OP_04_a_call_sees_no_context_of_another_call(gateway: Gateway) -> None:
    for name in "ab":
        assert bodies(gateway, [f"tenant/{name}{n}" for n in range(200)]) == [
            ["yes", "", "", f"{name}{n}"] for n in range(200)
        ]


def test_OP_04_nor_does_a_pipelined_request_of_serve_app(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=20) as client:
        head = "GET /svc/tenant/{} HTTP/1.1\r\nHost: h\r\n{}\r\n"
        names = [f"p{n}" for n in range(10)]
        client.sendall("".join(head.format(n, "Connection: close\r\n" * (n == "p9")) for n in names).encode())
        with client.makefile("rb") as reader:
            text = reader.read().decode()
    for name in names:
        assert json.dumps(["yes", "", "", name]) in text


def test_OP_04_nor_one_over_http2(gateway: Gateway) -> None:
    with Http2Wire(gateway.http_port) as wire:
        streams = {wire.open(request("GET", f"/svc/tenant/s{n}"), end=True): f"s{n}" for n in range(20)}
        for stream, name in streams.items():
            assert json.loads(wire.answer(stream).data) == ["yes", "", "", name]


def test_OP_04_a_batch_behind_a_pipelined_request_begins_anew(gateway: Gateway) -> None:
    body = rest.encode({"requests": [rest.get_call("1", "tenant/batch")]})
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=20) as client:
        client.sendall(
            b"GET /svc/tenant/one HTTP/1.1\r\nHost: h\r\n\r\n"
            + f"POST /svc/$batch HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode()
            + body
        )
        with client.makefile("rb") as reader:
            text = reader.read()
    assert b'["yes","","","batch"]' in text.replace(b", ", b",")


def test_OP_25_what_an_app_leaves_in_cycles_is_freed_soon(gateway: Gateway) -> None:
    for _ in range(10):
        assert max(bodies(gateway, ["cycle/"] * 500)) < 2000


# --- failures


@pytest.mark.parametrize("how", HOW)
def test_OP_05_whatever_an_app_raises_is_one_failed_call(how: str, gateway: Gateway) -> None:
    document = {"requests": [rest.get_call("1", f"raise/{how}"), rest.get_call("2", f"raise/{how}?late=1")]}
    document["requests"].append(rest.get_call("3", "x"))
    by_id = rest.post(gateway.http_port, document).by_id()
    assert {name: response["status"] for name, response in by_id.items()} == {"1": 500, "2": 502, "3": 200}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("version", [1, 2])
def test_OP_05_the_same_for_a_request_of_serve_app(version: int, how: str, gateway: Gateway) -> None:
    if version == 1:
        assert get(gateway, f"/svc/raise/{how}")[0] == 500
        with pytest.raises(http.client.IncompleteRead):
            get(gateway, f"/svc/raise/{how}?late=1")
    else:
        with Http2Wire(gateway.http_port) as wire:
            assert wire.ask(request("GET", f"/svc/raise/{how}")).status == 500
            heard = wire.ask(request("GET", f"/svc/raise/{how}?late=1"))
            assert heard.reset is not None
            assert wire.ask(request("GET", "/svc/x")).status == 200
    assert get(gateway, "/svc/x")[0] == 200


REFUSED = [name for name in MESSAGES if name not in HALVES and name not in WHOLE]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("version", [1, 2])
def test_OP_05_what_is_no_answer_of_http_is_500(version: int, name: str, gateway: Gateway) -> None:
    """In the same way over both, and a request that follows on the connection is answered as what it is."""
    path = f"/svc/says/{quote(name)}"
    if version == 2:
        with Http2Wire(gateway.http_port) as wire:
            assert wire.ask(request("GET", path)).status == 500
            assert wire.ask(request("GET", "/svc/x")).data == b'"/x"'
        return
    with rest.Wire(gateway.http_port) as wire:
        wire.expect("GET")
        lines = [f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n" for target in (path, "/svc/x")]
        wire.send("".join(lines).encode())
        assert wire.answer().status == 500
        wire.expect("GET")
        assert wire.answer().body == b'"/x"'


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("version", [1, 2])
def test_OP_05_what_cannot_go_on_is_broken_off(version: int, name: str, gateway: Gateway) -> None:
    if version == 2:
        with Http2Wire(gateway.http_port) as wire:
            assert wire.ask(request("GET", f"/svc/says/{quote(name)}")).reset is not None
            assert wire.ask(request("GET", "/svc/x")).status == 200
        return
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("GET", f"/svc/says/{quote(name)}")
        assert wire.head().status == 200
        assert not wire.remainder()[1]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("version", [1, 2])
def test_OP_05_how_an_answer_is_framed_is_not_the_apps_to_say(version: int, name: str, gateway: Gateway) -> None:
    if version == 2:
        with Http2Wire(gateway.http_port) as wire:
            heard = wire.ask(request("GET", f"/svc/says/{quote(name)}"))
            status, body, said = heard.status, heard.data, len(heard.headers)
            assert heard.ended
    else:
        answer = rest.request(gateway.http_port, "GET", f"/svc/says/{quote(name)}")
        status, body, said = answer.status, answer.body, len(answer.headers)
    assert (status, body) == (200, b"x")
    assert name != "many headers" or said > 100


@pytest.mark.parametrize("how", HOW)
def test_OP_05_nor_does_a_task_of_an_app_end_the_gateway(how: str, gateway: Gateway) -> None:
    assert bodies(gateway, [f"task/{how}"]) == ["begun"]
    assert bodies(gateway, ["x"]) == ["/x"]


def test_OP_05_nor_does_one_that_cancels_all_tasks(gateway: Gateway) -> None:
    document = {"requests": [rest.get_call("1", "cancelall")]}
    assert rest.post(gateway.http_port, document).by_id()["1"]["status"] == 500
    assert rest.request(gateway.http_port, "GET", "/healthz").status == 200
    assert bodies(gateway, ["x"]) == ["/x"]


def test_ER_07_an_answer_of_unknown_length_that_breaks_off_is_reset_in_http_1_0(gateway: Gateway) -> None:
    """The end of the connection alone would make it look complete."""
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=20) as sock:
        path = quote("/svc/says/half, then another type").encode()
        sock.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path)
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: sock.recv(65536), b""))


def failures(gateway: Gateway, word: str) -> list[str]:
    """Events of the lines of this gateway whose traceback has the word in it."""
    return [line["event"] for line in gateway.logs() if word in line.get("exception", "")]


@pytest.mark.parametrize("way", ["call", "request"])
def test_OP_17_what_an_app_raises_behind_its_answer_is_logged(way: str, own_gateway: Any) -> None:
    gateway = own_gateway()
    if way == "call":
        document = {"requests": [rest.get_call("1", "fails/call")]}
        assert rest.post(gateway.http_port, document).by_id()["1"]["status"] == 500
    else:
        with rest.Wire(gateway.http_port) as wire:
            wire.begin("GET", "/svc/fails/request")
            assert wire.answer().status == 500
    within(lambda: len(failures(gateway, f"RuntimeError: told {way}")) == 1)


def test_OP_17_a_flood_of_failures_is_no_flood_of_logs(own_gateway: Any) -> None:
    """A few are told with their tracebacks, of the others how many there were."""
    gateway = own_gateway()
    document = {"requests": [rest.get_call(str(n), f"fails/{n}") for n in range(500)]}
    before = time.monotonic()
    assert {answer["status"] for answer in rest.post(gateway.http_port, document).responses} == {500}
    seconds = time.monotonic() - before

    def counted() -> int:
        lines = [line["event"] for line in gateway.logs()]
        return sum(int(event.split()[-3]) for event in lines if event.endswith(" times more"))

    within(lambda: len(failures(gateway, "told")) + counted() == 500)
    assert 10 <= len(failures(gateway, "told")) <= 10 * (2 + seconds)


# --- header bounds


@pytest.mark.parametrize(
    ("times", "each", "fits"), [(1, 3900, True), (1, 4100, False), (50, 60, True), (60, 70, False)]
)
def test_OP_08_an_answer_has_no_more_headers_than_max_header_bytes(
    times: int, each: int, fits: bool, gateway: Gateway
) -> None:
    url = f"headers/x?times={times}&each={each}"
    document = {"requests": [rest.get_call("1", url)]}
    assert rest.post(gateway.http_port, document).responses[0]["status"] == (200 if fits else 502)
    assert get(gateway, f"/svc/{url}")[0] == (200 if fits else 500)


def test_OP_08_a_call_that_changed_something_keeps_its_status(gateway: Gateway) -> None:
    """AN-03: it has been run."""
    call = {"id": "1", "method": "post", "url": "headers/x?times=60&each=70", "body": {}}
    [found] = rest.post(gateway.http_port, {"requests": [call]}).responses
    assert (found["status"], "body" in found) == (200, False)
    assert found["headers"]["batchwire-note"] == (
        "body and some headers left out: its headers are larger than allowed (max_header_bytes)"
    )


@pytest.mark.parametrize("version", [1, 2])
def test_OP_08_as_many_as_are_allowed_are_sent(version: int, tmp_path: Path) -> None:
    """Above 64 KiB, too, where the library for HTTP/2 has a bound of its own."""
    gateway = begun(settings_of(limits={"max_header_bytes": 300_000}), tmp_path)
    path = "/svc/headers/x?times=250&each=900"
    if version == 1:
        with rest.Wire(gateway.http_port) as wire:
            wire.begin("GET", path)
            answer = b""
            while b'"fine"' not in answer:
                answer += wire.socket.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
    else:
        with Http2Wire(gateway.http_port) as wire2:
            wire2.h2.decoder.max_header_list_size = 1 << 20
            assert json.loads(wire2.ask(request("GET", path)).data) == "fine"
    gateway.stop()


# --- start and end


@pytest.mark.parametrize("how", ["behind", "stubborn"])
@pytest.mark.parametrize("way", ["call", "request"])
def test_OP_06_grace_holds_for_what_an_app_does_behind_its_answer(
    way: str, how: str, own_gateway: Any, tmp_path: Path
) -> None:
    gateway = own_gateway(grace_seconds=15 if how == "behind" else 0.5)
    mark = tmp_path / "mark"
    url = f"{how}/1?file={mark}"
    assert (bodies(gateway, [url]) if way == "call" else [get(gateway, f"/svc/{url}")[1]]) == ["before"]
    gateway.terminate()
    assert gateway.process.wait(20) == 0
    assert mark.read_text() == ("done" if how == "behind" else "cancelled")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("hangs", "it took longer than 1 s"),
        ("will_not_be_cancelled", "it took longer than 1 s"),
        ("raises", "RuntimeError: no database"),
        ("exits", "SystemExit: 3"),
        ("says_so", "no database"),
        ("only_ends", "it ended"),
    ],
)
def test_OP_07_an_app_that_does_not_start_is_told_and_fatal(
    app: str, line: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE)
    gateway = Gateway(settings_of(app, workers=workers), tmp_path)
    with pytest.raises(RuntimeError, match="the gateway ended with 1") as ended:
        gateway.start()
    told = [said for said in str(ended.value).splitlines() if said.startswith("Error: ")]
    assert told == [f"Error: upstreams.own: the application did not start: {line}"]


@pytest.mark.parametrize("app", ["knows_none", "ignores_it"])
def test_OP_07_an_app_without_a_lifespan_is_served(app: str, tmp_path: Path) -> None:
    gateway = begun(settings_of(app), tmp_path)
    assert bodies(gateway, ["x"]) == ["served"]
    gateway.stop()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_OP_07_a_start_that_hangs_can_be_ended(sent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    settings = settings_of("hangs")
    settings["upstreams"]["own"]["startup_timeout_seconds"] = 100
    gateway = Gateway(settings, tmp_path)
    monkeypatch.setattr(gateway, "ready", lambda: True)
    monkeypatch.setattr(gateway, "_listening", lambda: {"raw": "it hangs"} in gateway.logs())
    gateway.start()
    gateway.process.send_signal(sent)
    assert gateway.process.wait(20) == 0


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)
        routes: list[config.Config] = [{"root": "/own/", "upstream": "own", "serve_app": True, "default": True}]
        settings = config.make({"own": {"app": "length_app:app"}}, routes)
        with Gateway(settings, tmp_path_factory.mktemp("lengths")) as running:
            yield running


def test_OP_05_a_body_of_another_length_than_it_says_is_no_answer(front: str, lengths: Gateway) -> None:
    names = ["short", "long", "bad", "twice", "right", "none"]
    calls = [Call(name, name) for name in names]
    calls += [Call(f"behind-{name}", "right", depends_on=[name]) for name in ("short", "right")]
    found = statuses(run_batch(front, lengths, calls, route="/own/"))
    assert found == {
        **dict.fromkeys(["short", "long", "bad", "twice"], 502),
        **dict.fromkeys(["right", "none", "behind-right"], 200),
        "behind-short": 424,
    }


@pytest.mark.parametrize("status", [204, 304])
def test_OP_05_an_answer_that_has_no_body_sends_none(status: int, lengths: Gateway) -> None:
    """Over HTTP/1.1 it would stand where the next answer begins."""
    with rest.Wire(lengths.http_port) as wire:
        for path, expected in ((f"/own/{status}", status), ("/own/right", 200)):
            wire.expect("GET")
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = wire.answer()
            assert (answer.status, answer.body) == (expected, b"abc" if expected == 200 else b"")
    with Http2Wire(lengths.http_port) as wire2:
        answer2 = wire2.ask(request("GET", f"/own/{status}", []), None)
        assert (answer2.status, bytes(answer2.data), answer2.ended) == (status, b"", True)
