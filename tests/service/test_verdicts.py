"""`check` and `serve` refuse the same configurations in the same words, each thing in one line (OP-09, OP-12)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batchwire.service.config import ConfigurationError, load, one_route
from harness import config
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = [sys.executable, "-m", "batchwire.service"]


def run(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BATCHWIRE_")}
    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, timeout=40, cwd=cwd, env={**clean, **environment}
    )


def told(made: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines for a person, without what click puts before them."""
    text = made.stdout + made.stderr
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line and not line.startswith(("{", "Usage:", "Try "))]
    return [line.removeprefix("Error: ") for line in lines if not line.endswith("the configuration is not valid:")]


URL = {"url": "http://127.0.0.1:9/"}
ROUTE = {"root": "/svc/", "upstream": "a"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no module": ({"upstreams": {"a": {"app": "no_such_module:app"}}}, "No module named 'no_such_module'"),
    "no attribute": ({"upstreams": {"a": {"app": "os:no_such_app"}}}, "no_such_app"),
    "no app": ({"upstreams": {"a": {"app": "os:name"}}}, "upstreams.a.app: the app os:name is no ASGI application"),
    "raises": (
        {"upstreams": {"a": {"app": "bad_app:app"}}},
        "upstreams.a.app: the app bad_app:app cannot be loaded: RuntimeError: no",
    ),
    "exits": ({"upstreams": {"a": {"app": "exits_app:app"}}}, "cannot be loaded: SystemExit: 3"),
    "syntax": ({"upstreams": {"a": {"app": "syntax_app:app"}}}, "cannot be loaded: SyntaxError"),
    "no routes": ({"routes": []}, "routes: there is none"),
    "ca": (
        {"upstreams": {"a": {"url": "https://h/", "ca_file": "/none.pem"}}},
        "upstreams.a.ca_file: /none.pem: No such file",
    ),
    "listener": (
        {"listen": {"tls": {"cert_file": "/none.pem", "key_file": "/dev/null"}}},
        "listen.tls.cert_file: /none.pem: No such file",
    ),
    "too many": (
        {"routes": [{**ROUTE, "drop_headers": [f"x-{number:0>20}-{number * 7919:0>40}" for number in range(1000)]}]},
        "routes.0: there are too many headers to drop and to keep",
    ),
    "overflow": ({"limits": {"max_in_flight": 1 << 40}}, "limits.max_in_flight: input should be less than or equal"),
    "long path": ({"listen": {"http": "unix:/" + "x" * 120}}, "at most 107 bytes"),
    "one address": ({"listen": {"front": "grpcio", "grpc": "127.0.0.1:1", "http": "127.0.0.1:1"}}, "share an address"),
    "user": (
        {"upstreams": {"a": {"url": "http://u:secret@h/"}}},
        "upstreams.a.url: must have no user, query or fragment",
    ),
    "query": (
        {"upstreams": {"a": {"url": "http://h/?key=1"}}},
        "upstreams.a.url: must have no user, query or fragment",
    ),
    "fragment": ({"upstreams": {"a": {"url": "http://h/#x"}}}, "upstreams.a.url: must have no user, query or fragment"),
    "host": ({"upstreams": {"a": {**URL, "host": "a\r\nb: c"}}}, "upstreams.a.host: must not hold white space"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_OP_09_check_and_serve_say_the_same(name: str, tmp_path: Path) -> None:
    changed, line = REFUSED[name]
    (tmp_path / "bad_app.py").write_text("raise RuntimeError('no\\nmore')\n")
    (tmp_path / "exits_app.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "syntax_app.py").write_text("def app(:\n")
    settings: dict[str, Any] = {"upstreams": {"a": URL}, "routes": [ROUTE], **changed}
    listen = {"http": "127.0.0.1:0", "grpc": "127.0.0.1:0"}
    settings["listen"] = {**listen, **settings.get("listen", {})}
    file = tmp_path / "gateway.toml"
    file.write_text(config.to_toml(settings))
    checked = run("check", "--config", str(file), cwd=tmp_path)
    served = run("serve", "--config", str(file), cwd=tmp_path)
    assert checked.returncode == 1
    assert served.returncode in (1, 2)
    [said] = told(checked)
    assert line in said
    assert "secret" not in said
    assert told(served) == [said]


@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "-1"])
def test_OP_09_times_are_finite(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, {**one_route("http://h/", "", "/"), "limits": {"client_idle_seconds": float(value)}})
    assert len(str(caught.value).splitlines()) == 1


NO_SECTION = "there is no section '%s'; there are listen, log, limits, upstreams, routes"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("BATCHWIRE_LISTEN", "{", "BATCHWIRE_LISTEN: is not valid JSON (was '{')"),
        ("BATCHWIRE_LISTEN__ALLOWED_ORIGINS", "[x", "BATCHWIRE_LISTEN__ALLOWED_ORIGINS: is not valid JSON (was '[x')"),
        ("BATCHWIRE_ROUTES", "/svc/", "BATCHWIRE_ROUTES: is not valid JSON (was '/svc/')"),
        ("BATCHWIRE_LIMTS__MAX_CALLS", "1", f"BATCHWIRE_LIMTS__MAX_CALLS: {NO_SECTION % 'limts'}"),
        ("BATCHWIRE_FOO", "1", f"BATCHWIRE_FOO: {NO_SECTION % 'foo'}"),
        ("BATCHWIRE_LIMITS__MAX_COLLS", "1", "BATCHWIRE_LIMITS__MAX_COLLS: there is no such key"),
    ],
)
def test_OP_09_an_environment_variable_that_is_wrong_is_one_line(name: str, value: str, line: str) -> None:
    made = run("serve", "--upstream", "http://127.0.0.1:9/", **{name: value})
    assert (made.returncode, [said.strip() for said in told(made)]) == (2, [line])


@given(st.sampled_from(["LISTEN", "ROUTES", "UPSTREAMS__A", "LISTEN__TLS", "LIMITS"]), st.text(max_size=10))
def test_OP_09_no_variable_ends_in_anything_but_lines(name: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("BATCHWIRE_" + name, value)
        except (ValueError, UnicodeEncodeError):  # the system takes no such variable
            return
        with contextlib.suppress(ConfigurationError):
            load(None, one_route("http://h/", "", "/"))


@pytest.mark.parametrize(
    "name",
    ["BATCHWIRE_PORT", "BATCHWIRE_SERVICE_HOST", "BATCHWIRE_SERVICE_PORT_HTTP", "BATCHWIRE_PORT_8080_TCP_ADDR",
     "BATCHWIRE_GRPC_SERVICE_HOST", "BATCHWIRE_COMPILE"],
)  # fmt: skip
def test_OP_09_what_kubernetes_sets_is_passed_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert load(None, one_route("http://h/", "", "/")).routes


ROUTES = '[{"root":"/svc/","upstream":"a"}]'


@pytest.mark.parametrize("name", ["BATCHWIRE_ROUTES", "batchwire_routes"])
def test_OP_09_the_environment_alone_is_a_configuration(name: str, tmp_path: Path) -> None:
    upstreams = '{"a":{"url":"http://127.0.0.1:9/"}}'
    assert run("check", BATCHWIRE_UPSTREAMS=upstreams, **{name: ROUTES}).returncode == 0
    words = [*PROGRAM, "serve", "--http", f"unix:{tmp_path}/a.sock", "--grpc", ""]
    environment = {**os.environ, "BATCHWIRE_UPSTREAMS": upstreams, name: ROUTES}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_OP_09_the_environment_alone_is_judged_as_a_file_is(tmp_path: Path) -> None:
    variables = {"BATCHWIRE_UPSTREAMS": '{"a":{"app":"no_such_module:app"}}', "BATCHWIRE_ROUTES": ROUTES}
    listen = {"BATCHWIRE_LISTEN__HTTP": "127.0.0.1:0", "BATCHWIRE_LISTEN__GRPC": ""}
    line = "upstreams.a.app: the app no_such_module:app cannot be loaded: No module named 'no_such_module'"
    for command in ("check", "serve"):
        made = run(command, **variables, **listen)
        assert (made.returncode, told(made)) == (1, [line])
    batch = tmp_path / "batch.json"
    batch.write_text('{"requests":[{"id":"1","method":"get","url":"x"}]}')
    variables["BATCHWIRE_UPSTREAMS"] = '{"a":{"url":"http://127.0.0.1:9/"}}'
    made = run("check", "--batch", str(batch), "--root", "/other/", **variables)
    assert (made.returncode, told(made)) == (1, ["--root: there is no route /other/; there are /svc/"])


def test_OP_09_without_a_route_serve_and_check_say_what_to_give() -> None:
    for words in (["serve"], ["serve", "--root", "/svc/"], ["check"]):
        made = run(*words, BATCHWIRE_UPSTREAMS='{"a":{"url":"http://127.0.0.1:9/"}}')
        assert made.returncode == 2
        assert told(made)[-1].startswith("give --config FILE, ")
    made = run("serve", "--root", "/svc/", BATCHWIRE_ROUTES=ROUTES)
    assert (made.returncode, told(made)) == (2, ["--root describes a route; here they stand in BATCHWIRE_ROUTES"])


def test_OP_09_check_tells_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    tls = {"tls": {"cert_file": "/none.pem", "key_file": "/none.pem"}}
    upstreams = {"a": {"url": "https://h/", "ca_file": "/none.pem"}, "b": {"app": "no_such_module:app"}}
    file.write_text(config.to_toml({"listen": tls, "upstreams": upstreams, "routes": [ROUTE]}))
    made = run("check", "--config", str(file), BATCHWIRE_FOO="1", BATCHWIRE_LIMITS__MAX_COLLS="1")
    assert made.returncode == 1
    assert told(made) == [
        f"BATCHWIRE_FOO: {NO_SECTION % 'foo'}",
        "BATCHWIRE_LIMITS__MAX_COLLS: there is no such key",
        "upstreams.a.ca_file: /none.pem: No such file or directory",
        "upstreams.b.app: the app no_such_module:app cannot be loaded: No module named 'no_such_module'",
        "listen.tls.cert_file: /none.pem: No such file or directory",
        "listen.tls.key_file: /none.pem: No such file or directory",
    ]


def test_OP_09_check_looks_at_files_whatever_else_is_wrong(tmp_path: Path) -> None:
    """What holds by itself is looked at, so that one run tells as much as can be told."""
    file = tmp_path / "gateway.toml"
    files = {"cert_file": "/none.pem", "key_file": "/none.key"}
    upstreams = {
        "a": {"url": "https://h/", "ca_file": "/no_ca.pem", **files},
        "b": {"url": "ftp://h/", "ca_file": "/not_told.pem"},
    }
    listen = {"grpc": "nowhere", "tls": {**files, "client_ca_file": "/no_ca.pem"}}
    file.write_text(config.to_toml({"listen": listen, "upstreams": upstreams, "routes": [ROUTE]}))
    made = run("check", "--config", str(file))
    assert made.returncode == 1
    values, lines = told(made)[:2], told(made)[2:]
    assert [line.partition(": ")[0] for line in values] == ["listen.grpc", "upstreams.b.url"]
    assert lines == [
        f"{section}.{key}: {path}: No such file or directory"
        for section, key, path in (
            ("upstreams.a", "ca_file", "/no_ca.pem"),
            ("upstreams.a", "cert_file", "/none.pem"),
            ("upstreams.a", "key_file", "/none.key"),
            ("listen.tls", "cert_file", "/none.pem"),
            ("listen.tls", "key_file", "/none.key"),
            ("listen.tls", "client_ca_file", "/no_ca.pem"),
        )
    ]


def test_OP_12_a_root_may_lack_its_last_slash() -> None:
    settings = one_route("http://h/", "", "/svc")
    settings["routes"][0]["mounts"] = [{"prefix": "/svc/b", "upstream": "main"}]
    [route] = load(None, settings).routes
    assert (route.root, route.mounts[0].prefix) == ("/svc/", "/svc/b/")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_OP_12_a_port_in_use_is_one_line_with_the_address(workers: str, front: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        listen = ("--http", address, "--grpc", "127.0.0.1:0", "--workers", workers)
        made = run("serve", "--upstream", "http://127.0.0.1:9/", *listen, BATCHWIRE_LISTEN__FRONT=front)
    assert (made.returncode, told(made)) == (1, [f"{address} cannot be listened on: address already in use"])


@pytest.mark.parametrize("address", ["unix:/no/such/folder/a.sock", "no-such-host.invalid:80", "192.0.2.1:80"])
def test_OP_12_an_address_that_cannot_be_had_is_named(address: str) -> None:
    made = run("serve", "--upstream", "http://127.0.0.1:9/", "--http", address, "--grpc", "")
    [line] = told(made)
    assert made.returncode == 1
    assert line.startswith(f"{address} cannot be listened on: ")


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ImportError({why!r})
sys.meta_path.insert(0, Missing())
from batchwire.service.cli import main
main({words!r})
"""


def without(name: str, why: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(name=name, why=why, words=words)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40)


@pytest.mark.parametrize("name", ["starlette", "docx", "python_multipart"])
def test_OP_12_the_demo_says_what_it_needs(name: str) -> None:
    made = without(name, f"No module named {name!r}", "demo", "--http", "127.0.0.1:0")
    advice = 'install the extra demo: pip install "PATH[demo]", PATH of the wheel or the checkout'
    line = f"the demo needs more packages (No module named {name!r}); {advice}"
    assert (made.returncode, told(made)) == (1, [line])


def test_OP_12_a_wheel_with_the_native_front_runs_where_its_library_is_missing(tmp_path: Path) -> None:
    why = "libnghttp2.so.14: cannot open shared object file"
    path = tmp_path / "gateway.sock"
    words = ("serve", "--upstream", "http://127.0.0.1:9/", "--http", f"unix:{path}", "--grpc", "")
    code = WITHOUT.format(name="batchwire.core.front.http2", why=why, words=words)
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert why in next(lines)
        assert "listening" in next(lines)
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize("words", [["--config"], ["check"]])
def test_OP_12_but_not_where_tls_was_asked_for(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    tls = {"tls": {"cert_file": "/none.pem", "key_file": "/none.pem"}}
    file.write_text(config.to_toml({"listen": tls, "upstreams": {"a": URL}, "routes": [ROUTE]}))
    command = "check" if words == ["check"] else "serve"
    made = without("batchwire.core.front.http2", "no library", command, "--config", str(file))
    line = "listen.tls: needs the native front; the native front cannot be loaded (no library)"
    assert made.returncode == 1
    assert line in told(made)


def test_OP_12_roots_of_the_command_line_may_lack_their_last_slash(tmp_path: Path) -> None:
    batch = tmp_path / "batch.json"
    batch.write_text('{"requests":[{"id":"1","method":"get","url":"/svc/x"}]}')
    assert run("check", "--batch", str(batch), "--root", "/svc").returncode == 0
    made = run("serve", "--upstream", "http://127.0.0.1:9/", "--root", "svc", "--http", "127.0.0.1:0")
    assert told(made) == ["routes.0.root: must be a path that begins with \"/\" (was 'svc')"]
