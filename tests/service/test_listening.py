"""Listeners of the command: when they are told of, and what becomes of the file of a UNIX socket."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "batchwire.service", "serve", "--upstream", "http://127.0.0.1:9/"]
FRONTS = ["native", "grpcio"]


@contextmanager
def serving(*words: str, front: str = "native") -> Iterator["subprocess.Popen[str]"]:
    """A gateway that listens."""
    environment = {**os.environ, "BATCHWIRE_LISTEN__FRONT": front}
    process = subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "listening":
                break
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("front", FRONTS)
def test_OP_24_an_address_that_is_taken_is_told_before_another_is_said_to_listen(front: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["--grpc", "127.0.0.1:0", "--http", f"127.0.0.1:{taken.getsockname()[1]}"]
        environment = {**os.environ, "BATCHWIRE_LISTEN__FRONT": front}
        made = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60, env=environment)
    assert made.returncode == 1
    assert "address already in use" in made.stderr
    assert '"listening"' not in made.stderr


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("listener", ["http", "grpc"])
def test_OP_24_the_file_of_a_unix_socket_goes_with_its_process(listener: str, front: str, tmp_path: Path) -> None:
    path = tmp_path / "gw.sock"
    other = {"http": "grpc", "grpc": "http"}[listener]
    words = [f"--{listener}", f"unix:{path}", f"--{other}", ""]
    with serving(*words, front=front) as process:
        assert path.is_socket()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not path.exists()


def test_OP_24_the_file_of_another_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "gw.sock"
    with serving("--http", f"unix:{path}", "--grpc", "") as process, socket.socket(socket.AF_UNIX) as another:
        path.unlink()
        another.bind(str(path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert path.is_socket()


def test_OP_24_what_a_dead_process_left_is_taken_over_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "gw.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    words = ["--http", f"unix:{path}", "--grpc", ""]
    with serving(*words):
        made = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60)
        assert (made.returncode, path.is_socket()) == (1, True)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    path.unlink()
    path.write_text("a file of somebody")
    made = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60)
    assert made.returncode == 1
    assert "address already in use" in made.stderr
    assert path.read_text() == "a file of somebody"
