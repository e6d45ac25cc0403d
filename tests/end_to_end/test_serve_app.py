"""`serve_app`: what no batch endpoint claims goes to the route's app, and nothing else does."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import config, rest
from harness.gateway import Gateway

APP = {"app": "served_apps:app", "base": "/inside/"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    routes = [
        {"root": "/open/", "upstream": "open", "default": True, "serve_app": True},
        {"root": "/open/deeper/", "upstream": "deeper", "serve_app": True},
        {"root": "/closed/", "upstream": "open"},
    ]
    upstreams = {"open": APP, "deeper": {"app": "served_apps:app", "base": "/deep/"}}
    settings = config.make(upstreams, routes, limits={"client_idle_seconds": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)  # where the app's module is found
        running = Gateway(settings, tmp_path_factory.mktemp("served"))
        running.start()
    yield running
    running.process.terminate()
    assert running.process.wait(20) == 0


def ask(gateway: Gateway, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_app_sees_the_request_at_its_own_place(gateway: Gateway) -> None:
    status, seen = ask(gateway, "/open/gr%C3%BCn%20x?a=b+c", "PUT", b"12345")
    assert status == 200
    assert seen == {
        "method": "PUT",
        "path": "/inside/grün x",
        "raw_path": "/inside/gr%C3%BCn%20x",
        "query": "a=b+c",
        "body": 5,
        "started": True,
        "extensions": [],
    }


def test_a_large_body_arrives_whole(gateway: Gateway) -> None:
    assert ask(gateway, "/open/x", "POST", b"x" * 5_000_000)[1]["body"] == 5_000_000


def test_the_longest_root_takes_it(gateway: Gateway) -> None:
    assert ask(gateway, "/open/deeper/x")[1]["path"] == "/deep/x"
    assert ask(gateway, "/open/deep")[1]["path"] == "/inside/deep"


@pytest.mark.parametrize(
    ("path", "raw"),
    [("/%6fpen/%64eeper/x", "/deep/x"), ("/%6Fpen/a%2Fb", "/inside/a%2Fb"), ("/open/deeper%2Fx", "/inside/deeper%2Fx")],
)
def test_OP_10_the_root_is_the_same_however_it_is_spelled(gateway: Gateway, path: str, raw: str) -> None:
    assert ask(gateway, path)[1]["raw_path"] == raw


@pytest.mark.parametrize(
    "path",
    [
        "/closed/x",
        "/other",
        "/open",
        "/open/../closed/x",
        "/open/%2e%2e/x",
        "/open/a%2F..%2F..%2Fx",
        "/open/..%5Cx",
        "/open/./x",
    ],
)
def test_nothing_else_reaches_an_app(gateway: Gateway, path: str) -> None:
    status, body = ask(gateway, path)
    assert status == 404
    assert body["error"]["code"] == "NotFound"


def test_batches_and_health_come_first(gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "x")]}, root="/open/")
    assert answer.responses[0]["body"]["path"] == "/inside/x"
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=10)
    connection.request("GET", "/open/$batch")
    assert connection.getresponse().status == 405
    connection.close()
    assert gateway.get("/healthz") == (200, "ok\n")


def test_an_app_that_fails_is_500_and_logged(gateway: Gateway) -> None:
    status, body = ask(gateway, "/open/fails")
    assert status == 500
    assert body["error"]["code"] == "InternalError"
    assert "no answer at all" not in json.dumps(body)
    gateway.wait(lambda: "no answer at all" in json.dumps(gateway.logs()), "the app's failure in the log")
    assert ask(gateway, "/open/x")[0] == 200


def test_half_an_answer_does_not_look_complete(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=10)
    connection.request("GET", "/open/breaks")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()


def test_a_client_that_stops_in_its_body_is_cut(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=10) as client:
        client.sendall(b"PUT /open/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        started = time.monotonic()
        try:
            rest_of_it = client.recv(100)
        except ConnectionResetError:
            rest_of_it = b""
        assert rest_of_it == b""
        assert time.monotonic() - started < 5


def test_an_app_may_take_longer_than_a_client_may_be_idle(gateway: Gateway) -> None:
    assert ask(gateway, "/open/slow")[0] == 200
