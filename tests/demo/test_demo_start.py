"""What `batchwire demo` says of itself, and when (OP-12)."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

DEMO = [sys.executable, "-m", "batchwire.service", "demo"]
WORDS = "Batches by REST: POST http://"


@pytest.mark.parametrize("taken", ["--http", "--grpc"])
def test_OP_12_no_address_is_told_that_cannot_be_had(taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = {"--http": "127.0.0.1:0", "--grpc": "127.0.0.1:0"}
        listen[taken] = f"127.0.0.1:{other.getsockname()[1]}"
        words = [word for option in listen.items() for word in option]
        made = subprocess.run([*DEMO, *words], capture_output=True, text=True, timeout=50)
    assert made.returncode == 1
    assert WORDS not in made.stderr
    assert "cannot be listened on" in made.stderr.splitlines()[-1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_OP_12_the_address_told_is_the_one_it_listens_on(workers: str) -> None:
    command = [*DEMO, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--workers", workers]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith(WORDS))
        host, _, port = line.removeprefix(WORDS).partition("/")[0].rpartition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0
