"""What a configuration must not say; each thing that is wrong is one line."""

from typing import Any

import pytest
from batchwire.service.config import ConfigurationError, load, one_route


def wrong(listen: dict[str, Any] | None = None, **upstream: Any) -> list[str]:
    overrides = one_route("http://127.0.0.1:9/", "", "/svc/")
    overrides["upstreams"]["main"].update(upstream)
    try:
        load(None, {**overrides, "listen": listen or {}})
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("front", ["http", "grpc"])
def test_a_unix_socket_is_not_shared_by_workers(front: str) -> None:
    [line] = wrong({front: "unix:/tmp/never-made.sock", "workers": 2})
    assert line == f"listen.{front}: a UNIX socket belongs to one process, so workers must be 1"
    assert wrong({front: "unix:/tmp/never-made.sock", "workers": 1}) == []
    assert wrong({"workers": 2}) == []


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://h:x/", "http:///a", "https://:80/", "http://[::1/"],
)
def test_an_upstream_is_a_host_and_a_port(url: str) -> None:
    [line] = wrong(url=url)
    assert line.startswith("upstreams.main: url must name a host, and a port from 1 to 65535")
    assert url in line


@pytest.mark.parametrize("url", ["http://h/", "https://h:65535/a/", "http://[::1]:1/", "unix:/tmp/a:b.sock"])
def test_urls_that_are_taken(url: str) -> None:
    assert wrong(url=url) == []


def wrong_route(**route: Any) -> list[str]:
    overrides = one_route("http://127.0.0.1:9/", "", "/svc/")
    overrides["routes"][0].update(route)
    try:
        load(None, overrides)
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    "name", ["Host", "authorization", "content-*", "If-Match", "Connection", "a b", "x-*-y", "", "**"]
)
def test_CL_10_what_is_never_forwarded(name: str) -> None:
    [line] = wrong_route(forward_headers=["x-request-id", name])
    assert line.startswith("routes.0.forward_headers: ")


@pytest.mark.parametrize("names", [[], ["*"], ["Cookie", "X-CSRF-Token", "x-b3-*"]])
def test_CL_10_what_may_be(names: list[str]) -> None:
    assert wrong_route(forward_headers=names) == []


@pytest.mark.parametrize("key", ["drop_headers", "keep_headers"])
@pytest.mark.parametrize("name", ["a b", "x-*-y", "", "x:y", "**", "Content-Type", "authorization", "TE"])
def test_CL_12_lists_of_headers_are_names_and_beginnings(key: str, name: str) -> None:
    [line] = wrong_route(**{key: [name]})
    assert line.startswith(f"routes.0.{key}: ")


@pytest.mark.parametrize("origin", ["https://gw.example", ["https://gw.example", "http://10.0.0.1:8080"], "", []])
def test_CL_08_origins(origin: Any) -> None:
    assert wrong_route(origin=origin) == []


@pytest.mark.parametrize("origin", ["gw.example", ["https://gw.example", "ftp://x"], ["https://gw.example/path"]])
def test_CL_08_what_is_no_origin(origin: Any) -> None:
    [line] = wrong_route(origin=origin)
    assert line.startswith("routes.0.origin: ")


def test_CL_13_proxies_are_addresses_and_networks() -> None:
    assert wrong({"trusted_proxies": ["10.0.0.0/8", "::1", "192.0.2.7", "unix"]}) == []
    for text in ("proxy.example", "10.0.0.1/8", "10.0.0.0/40", ""):
        [line] = wrong({"trusted_proxies": [text]})
        assert line.startswith("listen.trusted_proxies.0: ")


def test_CL_03_a_json_batch_has_no_merge() -> None:
    [line] = wrong(batch="json", merge="MERGE")
    assert line == "upstreams.main: merge: a JSON batch has no MERGE (JB-07)"
    assert wrong(batch="multipart", merge="MERGE") == wrong(batch="json", merge="PATCH") == wrong(merge="PATCH") == []
