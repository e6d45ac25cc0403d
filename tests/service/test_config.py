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
