"""The `batchwire` command as a person at a terminal, or a pipe, sees it."""

import http.server
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "batchwire.service"]
ANSWER = b'{"responses":[{"id":"1","status":200,"headers":{}}]}'


class _Gateway(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        while self.rfile.readline().strip() != b"0":
            pass
        self.rfile.readline()
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def batch_url() -> Iterator[str]:
    """A server that answers each batch with ANSWER."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/$batch"
        server.shutdown()
        thread.join()


def call(url: str, stdout: int) -> "subprocess.CompletedProcess[bytes]":
    document = b'{"requests":[{"id":"1","method":"get","url":"A"}]}'
    return subprocess.run(
        [*PROGRAM, "call", "-", "--http", url], input=document, stdout=stdout, stderr=subprocess.PIPE, timeout=30
    )


def test_a_piped_answer_is_the_bytes_that_came(batch_url: str) -> None:
    made = call(batch_url, subprocess.PIPE)
    assert (made.returncode, made.stdout) == (0, ANSWER)


def test_an_answer_on_a_terminal_ends_its_line(batch_url: str) -> None:
    ours, theirs = pty.openpty()
    try:
        assert call(batch_url, theirs).returncode == 0
        assert os.read(ours, 4096) == ANSWER + b"\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_the_help_names_all_forms_of_an_address(command: str) -> None:
    made = subprocess.run([*PROGRAM, command, "--help"], capture_output=True, text=True, timeout=30, check=True)
    words = " ".join(made.stdout.split())
    for front in ("REST", "gRPC"):
        assert f'{front} listener: HOST:PORT, unix:/path, systemd:NAME, or "" for none' in words


@pytest.mark.parametrize(
    "options",
    [
        ["--upstream", "http://127.0.0.1:99999/"],
        ["--upstream", "http://127.0.0.1:9/", "--workers", "2", "--http", "unix:/tmp/never-made.sock"],
    ],
)
def test_serve_refuses_what_it_cannot_do(options: list[str]) -> None:
    made = subprocess.run([*PROGRAM, "serve", *options], capture_output=True, text=True, timeout=30)
    assert made.returncode == 2
    assert "Traceback" not in made.stderr
    assert len(made.stderr.split("the configuration is not valid:\n")[1].splitlines()) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("taken", ["--http", "--grpc"])
def test_a_port_in_use_is_one_line(taken: str, workers: str) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if workers == "2":  # as the listeners of another gateway with workers
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        listeners = {"--http": "127.0.0.1:0", "--grpc": "127.0.0.1:0"}
        listeners[taken] = f"127.0.0.1:{other.getsockname()[1]}"
        options = [word for option in listeners.items() for word in option]
        made = subprocess.run(
            [*PROGRAM, "serve", "--upstream", "http://127.0.0.1:9/", "--workers", workers, *options],
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert made.returncode == 1
    told = [line for line in made.stderr.splitlines() if not line.startswith("{")]
    assert told[-1] == f"Error: {listeners[taken]} cannot be listened on: address already in use"
    assert "Traceback" not in made.stderr


def test_check_looks_at_certificates(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'[upstreams.a]\nurl = "https://127.0.0.1:9/"\nca_file = "{tmp_path}/none.pem"\n'
        '[[routes]]\nroot = "/"\nupstream = "a"\n'
    )
    made = subprocess.run([*PROGRAM, "check", "--config", str(file)], capture_output=True, text=True, timeout=30)
    assert (made.returncode, made.stdout.splitlines()) == (
        1,
        [f"upstreams.a.ca_file: {tmp_path}/none.pem: No such file or directory"],
    )
