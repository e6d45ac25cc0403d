"""`serve_app` before what real frameworks do with the two ASGI channels (OP-23)."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import config, rest
from harness.gateway import Gateway

HERE = Path(__file__).parent
APPS = ("plain", "marked", "fast", "restless")
FRAMEWORKS = APPS[:3]
SECONDS = 10


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    upstreams = {name: {"app": f"framework_apps:{name}"} for name in APPS}
    routes = [{"root": f"/{name}/", "upstream": name, "serve_app": True} for name in APPS]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        running = Gateway(config.make(upstreams, routes), tmp_path_factory.mktemp("frameworks"))
        running.start()
    yield running
    running.kill()


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    http2 = request.param == "HTTP/2"
    url = f"http://127.0.0.1:{gateway.http_port}"
    with httpx.Client(http1=not http2, http2=http2, base_url=url, timeout=SECONDS) as client:
        yield client


def seen(gateway: Gateway, app: str) -> list[str]:
    url = f"http://127.0.0.1:{gateway.http_port}/{app}/told"
    told: list[str] = httpx.get(url, timeout=SECONDS).json()
    return told


@pytest.mark.parametrize("app", FRAMEWORKS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_OP_23_a_streamed_answer_ends(client: httpx.Client, app: str, method: str) -> None:
    answer = client.request(method, f"/{app}/streamed", content=b"body" if method == "POST" else None)
    assert answer.text == "0\n1\n2\n"
    assert client.get(f"/{app}/streamed?kind=sse").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert client.get("/healthz").text == "ok\n"


@pytest.mark.parametrize("app", FRAMEWORKS)
def test_OP_23_a_file_is_sent(client: httpx.Client, app: str) -> None:
    whole = (HERE / "framework_apps.py").read_bytes()
    answer = client.get(f"/{app}/file")
    assert (answer.status_code, answer.content) == (200, whole)
    part = client.get(f"/{app}/file", headers={"range": "bytes=1-9"})
    assert (part.status_code, part.content) == (206, whole[1:10])
    assert client.head(f"/{app}/file").headers["content-length"] == str(len(whole))


@pytest.mark.parametrize("app", FRAMEWORKS)
def test_OP_23_an_app_that_looks_is_told_that_its_client_is_there(client: httpx.Client, app: str) -> None:
    assert client.get(f"/{app}/looks").json() == [False] * 5
    assert client.post(f"/{app}/looks", content=b"body").json() == [False] * 5


# Behind Starlette's BaseHTTPMiddleware nobody can look so: that one waits before it asks.
@pytest.mark.parametrize("app", ["plain", "fast"])
def test_OP_23_an_app_that_looks_is_told_each_time_that_its_client_is_gone(gateway: Gateway, app: str) -> None:
    before = sum(line.startswith("gone") for line in seen(gateway, app))
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=SECONDS) as client:
        client.sendall(f"GET /{app}/looks-until HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    gateway.wait(lambda: sum(line.startswith("gone") for line in seen(gateway, app)) > before, "the client is gone")
    assert f"gone: {[True] * 5}" in seen(gateway, app)


@pytest.mark.parametrize("app", FRAMEWORKS)
def test_OP_23_a_stream_ends_with_its_client(gateway: Gateway, client: httpx.Client, app: str) -> None:
    before = seen(gateway, app).count("stream ended")
    with client.stream("GET", f"/{app}/without-end") as answer:
        assert next(answer.iter_text()).startswith("more")
    client.close()  # httpx resets no stream of HTTP/2 that it leaves
    gateway.wait(lambda: seen(gateway, app).count("stream ended") > before, "the end of the stream")


@pytest.mark.parametrize("app", FRAMEWORKS)
def test_OP_23_what_follows_an_answer_is_done(gateway: Gateway, client: httpx.Client, app: str) -> None:
    before = seen(gateway, app).count("background")
    assert client.get(f"/{app}/behind").text == "answered"
    gateway.wait(lambda: seen(gateway, app).count("background") > before, "the background task")


@pytest.mark.parametrize("app", FRAMEWORKS)
def test_OP_23_the_same_inside_a_batch(gateway: Gateway, app: str) -> None:
    urls = ["streamed", "file", "looks", "behind"]
    document = {"requests": [rest.get_call(url, url) for url in urls]}
    answer = rest.post(gateway.http_port, document, root=f"/{app}/")
    assert [call["status"] for call in answer.responses] == [200] * len(urls)
    assert answer.by_id()["looks"]["body"] == [False] * 5


@pytest.mark.parametrize("how", ["receives", "sends", "ignores"])
def test_OP_23_an_app_that_never_rests_leaves_turns_to_others(gateway: Gateway, how: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=SECONDS) as client:
        client.sendall(f"GET /restless/{how} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert gateway.get("/healthz") == (200, "ok\n")
        call = {"requests": [rest.get_call("1", "calm"), rest.get_call("2", how)]}
        connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=SECONDS)
        connection.request(
            "POST", "/restless/$batch", json.dumps(call), {"content-type": "application/json", "prefer": "wait=1"}
        )
        statuses = {call["id"]: call["status"] for call in json.loads(connection.getresponse().read())["responses"]}
        connection.close()
        assert statuses == {"1": 200, "2": 200 if how == "receives" else 504}
        assert gateway.get("/healthz") == (200, "ok\n")
