"""What a configuration must not say; each thing that is wrong is one line."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batchwire.service.config import (
    Config,
    ConfigurationError,
    LimitSettings,
    Listen,
    Log,
    RouteSettings,
    UpstreamSettings,
    load,
    one_route,
)
from pydantic import BaseModel, ValidationError


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


@pytest.mark.parametrize(
    "url", ["http://h/a/../b/", "http://h/%2e/", "http://h/sch\u00f6n/", "http://h/a%2/", "http://h/<a>/"]
)
def test_the_path_of_an_upstream_is_as_in_urls(url: str) -> None:
    [line] = wrong(url=url)
    assert line == "upstreams.main.url: must have a path without . and .. segments, percent-encoded"


@pytest.mark.parametrize(
    "url",
    ["http://h", "http://h/$web/a%20b//c/", "http://h/", "https://h:65535/a/", "http://[::1]:1/", "unix:/tmp/a:b.sock"],
)
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


@pytest.mark.parametrize(
    "origin",
    [
        "gw.example",
        ["https://gw.example", "ftp://x"],
        ["https://gw.example/path"],
        "https://gw.example/",
        "https://gw.example:99999",
        "https://gw.example:0",
    ],
)
def test_CL_08_what_is_no_origin(origin: Any) -> None:
    [line] = wrong_route(origin=origin)
    assert line.startswith("routes.0.origin: ")


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://app.example",
        "HTTPS://App.Example",
        "http://localhost:5173",
        "http://[::1]:8080",
        "app://x",
    ],
)
def test_origins_of_pages(origin: str) -> None:
    assert wrong({"allowed_origins": [origin]}) == []


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://*.app.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example:65536",
        "https://schön.example",
        "",
    ],
)
def test_an_origin_that_no_browser_says_is_refused(origin: str) -> None:
    [line] = wrong({"allowed_origins": ["*", origin]})
    assert line.startswith("listen.allowed_origins.1: must be ")


def test_CL_12_no_route_drops_every_header() -> None:
    [line] = wrong_route(drop_headers=["x-a", "*"])
    assert line.startswith("routes.0.drop_headers: * would drop every header")
    assert wrong_route(drop_headers=["x-*"], keep_headers=["*"]) == []


@pytest.mark.parametrize("host", ["a:b:c", "a:", ":80", "a/b", "::1", "a:99999", "user@a"])
def test_a_host_header_is_a_host(host: str) -> None:
    [line] = wrong(host=host)
    assert line.startswith("upstreams.main.host: must be HOST or HOST:PORT")


@pytest.mark.parametrize("host", ["a", "A.example:8080", "[::1]", "[::1]:80", "10.0.0.1", "a_b-c.example."])
def test_host_headers_that_are_taken(host: str) -> None:
    assert wrong(host=host) == []


def test_a_server_name_has_no_port() -> None:
    for name in ("a:443", "https://a", "a/b"):
        [line] = wrong(url="https://a/", server_name=name)
        assert line.startswith("upstreams.main.server_name: must be a name or an address, without a port")
    for name in ("a.example", "::1", "10.0.0.1", "schön.example"):
        assert wrong(url="https://a/", server_name=name) == []


@pytest.mark.parametrize("address", ["a:b:c", "[a:b]:80", "[::1", "a:b:80"])
def test_a_listener_is_at_an_address(address: str) -> None:
    [line] = wrong({"http": address})
    assert line.startswith("listen.http: must ")


def test_CL_13_proxies_are_addresses_and_networks() -> None:
    assert wrong({"trusted_proxies": ["10.0.0.0/8", "::1", "192.0.2.7", "unix"]}) == []
    for text in ("proxy.example", "10.0.0.1/8", "10.0.0.0/40", ""):
        [line] = wrong({"trusted_proxies": [text]})
        assert line.startswith("listen.trusted_proxies.0: ")


def test_CL_03_a_json_batch_has_no_merge() -> None:
    [line] = wrong(batch="json", merge="MERGE")
    assert line == "upstreams.main.merge: a JSON batch has no MERGE (JB-07)"
    assert wrong(batch="multipart", merge="MERGE") == wrong(batch="json", merge="PATCH") == wrong(merge="PATCH") == []


FILE = """
[upstreams.main]
url = "http://127.0.0.1:9/"
[upstreams.MyApi]
url = "http://127.0.0.1:9/"
[[routes]]
root = "/svc/"
upstream = "MyApi"
"""


def under_file(
    monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any] | None = None, /, file: str = FILE, **variables: str
) -> Config:
    """The configuration of a file and these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(f"BATCHWIRE_{name}", value)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as made:
        made.write(file)
        made.flush()
        return load(made.name, overrides)


def told(
    monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any] | None = None, /, file: str = FILE, **variables: str
) -> list[str]:
    """What is wrong with them; FILE alone is right."""
    with pytest.raises(ConfigurationError) as caught:
        under_file(monkeypatch, overrides, file=file, **variables)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("LIMITS__MAX_IN_FLIGHT", "0", "input should be greater than or equal to 1 (was 0)"),
        ("LOG__BATCHES", "some", "must be 'all', 'failed' or a number from 0 to 1 (was 'some')"),
        ("LOG__BATCHES", "7", "must be 'all', 'failed' or a number from 0 to 1 (was 7)"),
        ("LISTEN__HTTP", "x", "must be HOST:PORT, unix:/path, systemd:NAME, or empty (was 'x')"),
        ("LISTEN__GRPC", "::1:50051", "must have an IPv6 address in brackets, as in [::1]:50051 (was '::1:50051')"),
        ("LISTEN__TRUSTED_PROXIES", '["x"]', "0: must be an address, a network (no bits beyond its mask), or unix"),
        ("LIMITS", '{"max_depth":1}', "max_depth: input should be greater than or equal to 4 (was 1)"),
        ("LIMITS", "5", "must be a table (was 5)"),
        ("ROUTES", "5", "must be a list (was 5)"),
        ("ROUTES", '[{"root":"/a/"}]', "0.upstream: must be given"),
        ("ROUTES", '[{"root":"/a/","upstream":"b"}]', "0.upstream: there is no upstream 'b'"),
        ("UPSTREAMS__B__URL", "x", "must begin with http://, https:// or unix:/ (was 'x')"),
        ("UPSTREAMS__B__APP", "x", "must be module:attribute (was 'x')"),
        ("UPSTREAMS__MYAPI__URL", "x", "must begin with http://, https:// or unix:/ (was 'x')"),
        ("UPSTREAMS__MyApi__MAX_CONNECTIONS", "0", "input should be greater than or equal to 1 (was 0)"),
        ("UPSTREAMS", '{"MYAPI":{"url":"x"}}', "MyApi.url: must begin with http://, https:// or unix:/ (was 'x')"),
        ("UPSTREAMS__MYAPI__URI", "http://h/", "there is no such key"),
        ("UPSTREAMS__MYAPX__URL", "http://h/", "no route uses an upstream 'myapx'; there are MyApi, main"),
        ("UPSTREAMS__MYAPX", '{"url":"http://h/"}', "no route uses an upstream 'myapx'; there are MyApi, main"),
        ("UPSTREAMS", '{"MyApx":{"url":"http://h/"}}', "no route uses an upstream 'MyApx'; there are MyApi, main"),
        ("UPSTREAMS____URL", "http://h/", "there is no such key"),
        ("LISTEN__HTTP__PORT", "80", "there is no such key"),
        ("LISTEN__", "80", "there is no such key"),
        ("ROUTES__0__ROOT", "/x/", "there is no such key; BATCHWIRE_ROUTES is one JSON list"),
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


@pytest.mark.parametrize("name", ["MYAPI", "myapi", "MyApi", "mYaPI"])
@pytest.mark.parametrize("prefix", ["BATCHWIRE_UPSTREAMS__", "batchwire_upstreams__"])
def test_OP_09_a_variable_means_the_upstream_in_any_case(
    prefix: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{prefix}{name}__URL", "http://other/")
    upstreams = under_file(monkeypatch).upstreams
    assert {key: upstream.url for key, upstream in upstreams.items()} == {
        "main": "http://127.0.0.1:9/",
        "MyApi": "http://other/",
    }


def test_OP_09_variables_of_one_upstream_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "UPSTREAMS": '{"myAPI":{"url":"http://a/","max_connections":1,"host":"a"}}',
        "UPSTREAMS__MYAPI": '{"max_connections":2,"host":"b"}',
        "UPSTREAMS__MyApi__HOST": "c",
    }
    found = under_file(monkeypatch, **variables).upstreams["MyApi"]
    assert (found.url, found.max_connections, found.host) == ("http://a/", 2, "c")


def test_OP_09_a_variable_says_more_of_the_upstream_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWIRE_UPSTREAMS__MAIN__MAX_CONNECTIONS", "3")
    found = load(None, one_route("http://h/", "", "/")).upstreams["main"]
    assert (found.url, found.max_connections) == ("http://h/", 3)


def test_OP_09_variables_alone_are_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWIRE_UPSTREAMS", '{"MyApi":{"url":"http://h/"}}')
    monkeypatch.setenv("BATCHWIRE_UPSTREAMS__MYAPI__URL", "http://other/")
    monkeypatch.setenv("BATCHWIRE_ROUTES", '[{"root":"/svc/","upstream":"MyApi"}]')
    assert {name: upstream.url for name, upstream in load().upstreams.items()} == {"MyApi": "http://other/"}


def test_OP_09_a_variable_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, UPSTREAMS__MYAPI__URL="http://a/", UPSTREAMS__MyApi__URL="http://b/")
    assert lines == [
        "BATCHWIRE_UPSTREAMS__MyApi__URL: is the same as BATCHWIRE_UPSTREAMS__MYAPI__URL, which is set too"
    ]


@pytest.mark.parametrize("variables", [{}, {"UPSTREAMS__MYAPI__HOST": "h"}])
def test_OP_09_names_of_upstreams_differ_in_more_than_case(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told(monkeypatch, file=FILE + '[upstreams.myapi]\nurl = "http://h/"\n', **variables)
    assert lines == ["upstreams.myapi: differs from upstreams.MyApi in upper and lower case only"]


def test_OP_09_names_in_json_differ_in_more_than_case(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = told(monkeypatch, UPSTREAMS='{"a":{"url":"http://h/"},"A":{"url":"http://i/"}}')
    assert line == "BATCHWIRE_UPSTREAMS: A: differs from upstreams.a in upper and lower case only"


def test_OP_09_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    file = FILE + '[[routes]]\nroot = "/svc/"\nupstream = "none"\n'
    assert told(monkeypatch, file=file, FOO="1", LIMITS="{", UPSTREAMS__MYAPX__URL="http://h/") == [
        "BATCHWIRE_FOO: there is no section 'foo'; there are listen, log, limits, upstreams, routes",
        "BATCHWIRE_LIMITS: is not valid JSON (was '{')",
        "routes.1.root: /svc/ is used by two routes",
        "routes.1.upstream: there is no upstream 'none'",
    ]


def test_OP_09_all_that_is_wrong_with_an_upstream_is_told_at_once() -> None:
    lines = wrong(url="", cert_file="a.pem", coalesce=2)
    assert [line.partition(": ")[2] for line in lines] == [
        "needs url or app",
        "cert_file and key_file go together",
        "needs batch, which says the form of the batches",
    ]


def test_OP_09_a_variable_is_not_named_for_what_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, {"listen": {"http": "x"}}, LISTEN__HTTP="127.0.0.1:1", LISTEN="{}")
    assert lines == ["listen.http: must be HOST:PORT, unix:/path, systemd:NAME, or empty (was 'x')"]


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


DOLLAR = "must hold no $: $batch is no part of it, batches are taken right below it"
AS_IN_URLS = "must be written as in a URL, white space and the like percent-encoded"
DOTS = "must hold no segment . or ..: a URL never keeps them"


def mount(prefix: str) -> dict[str, str]:
    return {"prefix": prefix, "upstream": "main"}


@pytest.mark.parametrize("root", ["/", "/a-b/c.d/", "/a%20b/", "/x/.y/...", "/a(b)/;c=d,e/@f:1/~g"])
def test_roots_that_are_taken(root: str) -> None:
    assert wrong_route(root=root) == []
    assert wrong_route(mounts=[mount("/svc/a/"), mount("/svc/a%2Fb/"), mount("/svc/a/b/")]) == []


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
        ({"root": "/svc/$batch"}, f"routes.0.root: {DOLLAR} (was '/svc/$batch')"),
        ({"root": "/s vc/"}, f"routes.0.root: {AS_IN_URLS} (was '/s vc/')"),
        ({"root": "/sch\u00f6n/"}, f"routes.0.root: {AS_IN_URLS} (was '/sch\u00f6n/')"),
        ({"root": "/a\n/"}, f"routes.0.root: {AS_IN_URLS} (was '/a\\n/')"),
        ({"root": "/a%2/"}, f"routes.0.root: {AS_IN_URLS} (was '/a%2/')"),
        ({"root": "/a/../b/"}, f"routes.0.root: {DOTS} (was '/a/../b/')"),
        ({"root": "/a/%2E"}, f"routes.0.root: {DOTS} (was '/a/%2E')"),
        ({"root": "/a//b/"}, "routes.0.root: must hold no empty segment (//) (was '/a//b/')"),
        ({"root": "/a/?b"}, "routes.0.root: must be a path without query or fragment (was '/a/?b')"),
        ({"root": "/a/#b"}, "routes.0.root: must be a path without query or fragment (was '/a/#b')"),
        ({"mounts": [mount("/svc/a b/")]}, f"routes.0.mounts.0.prefix: {AS_IN_URLS} (was '/svc/a b/')"),
        ({"mounts": [mount("/svc/../a/")]}, f"routes.0.mounts.0.prefix: {DOTS} (was '/svc/../a/')"),
        (
            {"mounts": [mount("/svc/a/"), mount("/svc/b/"), mount("/svc/a")]},
            "routes.0.mounts.2.prefix: /svc/a/ is used by two mounts of the route",
        ),
        (
            {"mounts": [mount("/svc/a/"), mount("/svc/%61/")]},
            "routes.0.mounts.1.prefix: /svc/%61/ is used by two mounts of the route",
        ),
        ({"streaming_threshold": True}, "routes.0.streaming_threshold: must be a whole number (was True)"),
        ({"status_202": 1}, "routes.0.status_202: must be true or false (was 1)"),
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
        ({"max_in_flight": True}, "upstreams.main.max_in_flight: must be a whole number (was True)"),
        ({"call_timeout_seconds": False}, "upstreams.main.call_timeout_seconds: must be a number (was False)"),
        ({"verify": 0}, "upstreams.main.verify: must be true or false (was 0)"),
        ({"base": "/a b/"}, f"upstreams.main.base: {AS_IN_URLS} (was '/a b/')"),
        ({"coalesce": 2}, "upstreams.main.coalesce: needs batch, which says the form of the batches"),
    ],
)
def test_OP_09_an_upstream(upstream: dict[str, Any], line: str) -> None:
    assert wrong(**upstream) == [line]


@pytest.mark.parametrize("key", ["max_depth", "min_request_rate", "grpc_max_message_bytes", "batch_deadline_seconds"])
@pytest.mark.parametrize("value", [True, float("inf"), float("nan")])
def test_OP_09_numbers_are_numbers_and_finite(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, {**one_route("http://h/", "", "/"), "limits": {key: value}})
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"limits.{key}: ")


@pytest.mark.parametrize("value", [True, float("inf"), float("nan")])
def test_OP_09_pings_are_a_finite_time_apart(value: float) -> None:
    [line] = wrong({"min_ping_seconds": value})
    assert line.startswith("listen.min_ping_seconds: ")


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ({"url": "http://h:1", "base": "/b/"}, "base: has no effect with http:; the path of the url is its base"),
        ({"url": "http://h:1", "ca_file": "x.pem"}, "ca_file: has no effect with http:"),
        ({"url": "http://h:1", "verify": False}, "verify: has no effect with http:"),
        ({"url": "http://h:1", "startup_timeout_seconds": 5}, "startup_timeout_seconds: has no effect with http:"),
        ({"url": "unix:/s", "addresses": ["h:1"]}, "addresses: has no effect with unix:"),
        ({"url": "unix:/s", "server_name": "h"}, "server_name: has no effect with unix:"),
        ({"app": "a:b", "addresses": ["h:1"]}, "addresses: has no effect with an app"),
        ({"app": "a:b", "idle_seconds": 3}, "idle_seconds: has no effect with an app"),
    ],
)
def test_OP_09_a_key_that_says_nothing_of_its_upstream_is_refused(upstream: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        UpstreamSettings.model_validate(upstream)


@pytest.mark.parametrize(
    "upstream",
    [
        {"url": "https://h:1/b/", "verify": False, "server_name": "h", "addresses": ["i:1"], "host": "h"},
        {"url": "unix:/s", "base": "/b/", "host": "h", "idle_seconds": 3},
        {"app": "a:b", "base": "/b/", "startup_timeout_seconds": 5, "max_connections": 3, "max_in_flight": 2},
    ],
)
def test_OP_09_keys_that_do(upstream: dict[str, Any]) -> None:
    UpstreamSettings.model_validate(upstream)


# --- what is of the wrong type

Keys = Iterator[tuple[str, tuple[str, ...], Any]]
SECTIONS = {
    "listen": Listen,
    "log": Log,
    "limits": LimitSettings,
    "upstreams": UpstreamSettings,
    "routes": RouteSettings,
}


def keys(model: type[BaseModel], path: tuple[str, ...]) -> Keys:
    """Section, path in it, and type of each key of a table, and of those within."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, (*path, name))
        else:
            yield path[0], (*path[1:], name), field.annotation


EVERY = [key for section, model in SECTIONS.items() for key in keys(model, (section,))]


def refused(section: str, path: tuple[str, ...], value: Any) -> list[str]:
    overrides = one_route("http://127.0.0.1:9/", "", "/svc/")
    within = {"upstreams": ["main"], "routes": [0]}.get(section, [])
    table: Any = overrides.setdefault(section, {})
    for part in (*within, *path[:-1]):
        table = table[part] if isinstance(table, list) else table.setdefault(part, {})
    table[path[-1]] = value
    try:
        load(None, overrides)
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


WRONG: dict[Any, list[Any]] = {
    bool: ["yes", "true", 1, 0, 1.0, [], {}],
    int: ["5", 5.0, True, [], {}],
    float: ["5", "inf", True, [], {}],
    str: [5, True, 1.5, [], {}],
}


@pytest.mark.parametrize(("section", "path", "kind"), EVERY, ids=[".".join((s, *p)) for s, p, _ in EVERY])
def test_OP_09_a_value_of_another_type_is_refused(section: str, path: tuple[str, ...], kind: Any) -> None:
    number = {"upstreams": ".main", "routes": ".0"}.get(section, "")
    for value in WRONG.get(kind, [5.5, True, {"a": 1}]):
        lines = refused(section, path, value)
        where = f"{section}{number}.{'.'.join(path)}: "
        assert any(line.startswith(where) for line in lines), (value, lines)
        said = next(line for line in lines if line.startswith(where))
        assert "must be" in said or "should be" in said or "has no effect" in said
        assert isinstance(value, list | dict) or "(was " in said


def test_OP_09_the_value_is_told_also_where_its_digits_stand_in_the_bound() -> None:
    assert wrong({"stop_seconds": 0}) == ["listen.stop_seconds: input should be greater than 0 (was 0)"]


def test_OP_09_a_table_in_the_place_of_tables() -> None:
    with pytest.raises(ConfigurationError) as found:
        load(None, {"routes": {"root": "/svc/"}})
    assert str(found.value) == "routes: must be a list: [[routes]] in the file, not [routes]"
    assert wrong_route(mounts={}) == [
        "routes.0.mounts: must be a list: [[routes.mounts]] in the file, not [routes.mounts]"
    ]


@pytest.mark.parametrize(("text", "taken"), [("yes", True), ("0", False), ("TRUE", True), ("off", False)])
def test_OP_09_variables_have_text_for_numbers_and_switches(
    text: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWIRE_UPSTREAMS__MAIN__FORWARD_AUTHORIZATION", text)
    monkeypatch.setenv("BATCHWIRE_LISTEN__STOP_SECONDS", "1.5")
    monkeypatch.setenv("BATCHWIRE_LIMITS__MAX_CALLS", "7")
    monkeypatch.setenv("BATCHWIRE_LOG__BATCHES", "0.25")
    made = load(None, one_route("http://127.0.0.1:9/", "", "/svc/"))
    assert made.upstreams["main"].forward_authorization is taken
    assert (made.listen.stop_seconds, made.limits.max_calls, made.log.batches) == (1.5, 7, 0.25)
