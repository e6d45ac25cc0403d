"""What a configuration must not say; each thing that is wrong is one line."""

from pathlib import Path
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
    assert line.startswith("upstreams.main.url: must name a host, and a port from 1 to 65535")
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
    assert line == "upstreams.main.merge: a JSON batch has no MERGE (JB-07)"
    assert wrong(batch="multipart", merge="MERGE") == wrong(batch="json", merge="PATCH") == wrong(merge="PATCH") == []


BASE = one_route("http://127.0.0.1:9/", "", "/svc/")


def told(monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any] | None = None, **variables: str) -> list[str]:
    """What is wrong with the environment, under a file that is right."""
    for name, value in variables.items():
        monkeypatch.setenv(f"BATCHWIRE_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load(None, {**BASE, **(overrides or {})})
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("LIMITS__MAX_IN_FLIGHT", "0", "input should be greater than or equal to 1 (was '0')"),
        ("LISTEN__HTTP", "x", "must be HOST:PORT, unix:/path, or empty (was 'x')"),
        ("LISTEN__TRUSTED_PROXIES", '["x"]', "0: must be an address, a network (no bits beyond its mask), or unix"),
        ("LIMITS", '{"max_depth":1}', "max_depth: input should be greater than or equal to 4 (was 1)"),
        ("LIMITS", "5", "must be a table (was 5)"),
        ("ROUTES", "5", "must be a list (was 5)"),
        ("ROUTES", '[{"root":"/a/"}]', "0.upstream: must be given"),
        ("ROUTES", '[{"root":"/a/","upstream":"b"}]', "0.upstream: there is no upstream 'b'"),
        ("UPSTREAMS__B__URL", "x", "must begin with http://, https:// or unix:/ (was 'x')"),
        ("UPSTREAMS__B__APP", "x", "must be module:attribute (was 'x')"),
    ],
)
def test_OP_09_a_wrong_variable_is_named(name: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [said] = told(monkeypatch, **{name: value})
    assert said.startswith(f"BATCHWIRE_{name}: {line}")


def test_OP_09_a_variable_that_does_not_go_with_another_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    [said] = told(monkeypatch, LISTEN__TLS__CERT_FILE="a.pem")
    assert said == (
        "listen.tls: cert_file and key_file go together; in the environment: BATCHWIRE_LISTEN__TLS__CERT_FILE"
    )


def test_OP_09_a_variable_is_not_named_for_what_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, {"listen": {"http": "x"}}, LISTEN__HTTP="127.0.0.1:1", LISTEN="{}")
    assert lines == ["listen.http: must be HOST:PORT, unix:/path, or empty (was 'x')"]


def test_OP_09_options_overrule_variables_and_variables_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[listen]\nhttp = "127.0.0.1:1"\ngrpc = "127.0.0.1:1"\n[upstreams.main]\nurl = "http://h/"\n'
        '[[routes]]\nroot = "/"\nupstream = "main"\n'
    )
    monkeypatch.setenv("BATCHWIRE_LISTEN__HTTP", "127.0.0.1:2")
    monkeypatch.setenv("BATCHWIRE_LISTEN__GRPC", "127.0.0.1:2")
    listen = load(file, {"listen": {"http": "127.0.0.1:3"}}).listen
    assert (listen.http, listen.grpc) == ("127.0.0.1:3", "127.0.0.1:2")


@pytest.mark.parametrize(
    ("route", "line"),
    [
        ({"origin": 5}, "routes.0.origin: must be a list (was 5)"),
        ({"origin": ["x"]}, "routes.0.origin: must be http(s)://host[:port] (was 'x')"),
        ({"dialects": ["x"]}, "routes.0.dialects.0: input should be 'odata', 'document' or 'google' (was 'x')"),
        ({"dialects": []}, "routes.0.dialects: must have at least one entry"),
        ({"mounts": [{"prefix": "/svc/a/"}]}, "routes.0.mounts.0.upstream: must be given"),
        ({"mounts": 5}, "routes.0.mounts: must be a list (was 5)"),
        ({"mounts": [5]}, "routes.0.mounts.0: must be a table (was 5)"),
        ({"root": "x" * 500}, 'routes.0.root: must be a path that begins with "/" (was \'' + "x" * 98 + "…)"),
    ],
)
def test_OP_09_one_line_says_key_and_what_is_allowed(route: dict[str, Any], line: str) -> None:
    assert wrong_route(**route) == [line]


@pytest.mark.parametrize(
    ("upstream", "line"),
    [
        ({"addresses": ["h"]}, "upstreams.main.addresses: must be HOST:PORT each (was 'h')"),
        ({"addresses": ["unix:/a"]}, "upstreams.main.addresses: must be HOST:PORT each (was 'unix:/a')"),
        ({"app": "a:b"}, "upstreams.main: needs url or app, not both"),
        ({"url": ""}, "upstreams.main: needs url or app"),
        ({"coalesce": 2}, "upstreams.main.coalesce: needs batch, which says the form of the batches"),
    ],
)
def test_OP_09_an_upstream(upstream: dict[str, Any], line: str) -> None:
    assert wrong(**upstream) == [line]
