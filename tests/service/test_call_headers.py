"""`batchwire call`: headers of its own for a batch, and what it says of certificates and of ports that speak no TLS."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness import rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})


def call(*words: str | Path) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "batchwire.service", "call", *map(str, words)]
    return subprocess.run(command, input=BATCH, capture_output=True, timeout=60)


def one_line(made: "subprocess.CompletedProcess[bytes]") -> str:
    text = made.stderr.decode()
    assert (made.returncode, text.count("\n")) == (2, 1), text
    return text.removeprefix("batchwire call: ").rstrip("\n")


@pytest.mark.parametrize("way", ["--http", "--grpc"])
def test_CL_10_headers_of_the_command_line_are_those_of_the_batch(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", json_reply({}))
    where = f"http://127.0.0.1:{gateway.http_port}/svc/$batch" if way == "--http" else gateway.grpc_address
    words = ["--header", "X-Request-Id:  a b ", "--header", "traceparent:00-" + "1" * 32 + "-" + "2" * 16 + "-01"]
    made = call("-", way, where, *words)
    assert made.returncode == 0, made.stderr
    [received] = upstream.log
    assert received.header("x-request-id") == "a b"
    assert "1" * 32 in str(received.header("traceparent"))


@pytest.mark.parametrize("way", [["--http", "http://127.0.0.1:9/$batch"], ["--grpc", "127.0.0.1:9"]])
@pytest.mark.parametrize(
    "header",
    ["name", "a b: c", ": c", "n: s\u00e9cret", "n: s\r\nx: secret", "Host: secret", "TE: secret", "grpc-timeout: 1S"],
)
def test_a_header_that_is_none_is_one_line_without_its_value(header: str, way: list[str]) -> None:
    said = one_line(call("-", *way, "--header", header))
    assert said.startswith("--header ")
    assert "cret" not in said


def test_a_file_without_certificate_is_named(tmp_path: Path) -> None:
    file, missing = tmp_path / "none.pem", tmp_path / "missing.pem"
    file.write_text("no certificate")
    for way in (["--http", "https://127.0.0.1:9/$batch"], ["--grpc", "grpcs://127.0.0.1:9"]):
        assert one_line(call("-", *way, "--ca-file", file)) == f"{file} holds no certificate"
        assert one_line(call("-", *way, "--ca-file", missing)) == f"{missing}: No such file or directory"


def test_a_port_that_speaks_no_tls_is_told_so(gateway: Gateway) -> None:
    said = one_line(call("-", "--http", f"https://127.0.0.1:{gateway.http_port}/svc/$batch"))
    assert said == f"127.0.0.1:{gateway.http_port} does not speak TLS (a plain gateway is called by http://)"
