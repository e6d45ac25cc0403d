"""How the `batchwire` command ends when it cannot go on: one line, or none, and never a traceback (OP-12)."""

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from batchwire.v1 import batch_pb2_grpc
from harness import rest
from harness.gateway import Gateway

PROGRAM = [sys.executable, "-m", "batchwire.service"]
BATCH = b'{"requests":[{"id":"1","method":"get","url":"A"}]}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    """A batch with something to tell of."""
    file = tmp_path / "wrong.json"
    file.write_text('{"requests":[{"id":"1"}]}')
    return str(file)


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["--version"], ["check", "--batch"]])
def test_OP_12_an_output_that_takes_nothing_is_one_line(words: list[str], wrong: str) -> None:
    command = [*PROGRAM, *words, *([wrong] if words[0] == "check" else [])]
    with open("/dev/full", "wb") as full:
        made = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert (made.returncode, made.stderr) == (1, b"batchwire: standard output: No space left on device\n")


@pytest.mark.parametrize("words", [["--help"], ["check", "--batch"]])
def test_OP_12_a_pipe_that_nobody_reads_is_no_line(words: list[str], wrong: str) -> None:
    command = [*PROGRAM, *words, *([wrong] if words[0] == "check" else [])]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        made = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, timeout=30)
    assert (made.returncode, made.stderr) == (1, b"")


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_OP_12_a_signal_while_modules_are_imported_is_quiet(
    number: signal.Signals, code: int, first: bool, tmp_path: Path
) -> None:
    """The import of click, which is the first of a library, takes its time and turns the interrupt into its own.

    first: the command takes itself for the first process of a container, which no signal ends by itself.
    """
    if first:
        (tmp_path / "sitecustomize.py").write_text("import os\nos.getpid = lambda: 1\n")
    (tmp_path / "click.py").write_text(
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\n"
        "try:\n    time.sleep(30)\nexcept BaseException:\n    raise ImportError('interrupted') from None\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([*PROGRAM, "--help"], stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"importing\n"
        process.send_signal(number)
        assert process.stderr.read() == b""
    # Else it is the system that ends it: 143 is what a shell makes of that.
    assert process.returncode == (-number if number == signal.SIGTERM and not first else code)


def test_OP_12_a_core_that_is_not_compiled_is_one_line() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'batchwire.core.dialects.proto_reader':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from batchwire.service.__main__ import main\n"
        "main()\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    line = "the core is not compiled (batchwire.core.dialects.proto_reader is missing): run `make build`"
    assert (made.returncode, made.stderr) == (1, f"batchwire: {line}\n")


# --- call


def call(*words: str, given: bytes = BATCH) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*PROGRAM, "call", "-", *words], input=given, capture_output=True, timeout=30)


def said(made: "subprocess.CompletedProcess[bytes]", code: int = 2) -> str:
    assert made.returncode == code
    return made.stderr.decode().strip().splitlines()[-1].removeprefix("batchwire call: ").removeprefix("Error: ")


TWICE = rest.encode({"requests": [rest.get_call("1", "A"), rest.get_call("1", "A")]})


def test_call_tells_code_and_place_of_an_error(gateway: Gateway) -> None:
    by_rest = said(call("--http", f"http://127.0.0.1:{gateway.http_port}/svc/$batch", given=TWICE))
    assert by_rest.startswith("the gateway answered 400 DuplicateId at requests[1].id: ")
    by_grpc = said(call("--grpc", gateway.grpc_address, "--route", "/svc/", given=TWICE))
    assert by_grpc.startswith("INVALID_ARGUMENT DuplicateId at requests[1].id: ")
    nowhere = said(call("--grpc", gateway.grpc_address, "--route", "/no/"))
    assert nowhere.startswith("NOT_FOUND UnknownRoute at options.route: ")


class _Plain(batch_pb2_grpc.BatchServiceServicer):
    """A server whose errors have no details, or broken ones."""

    def BatchJson(self, requests: Iterator[object], context: grpc.ServicerContext) -> None:
        next(requests)
        if dict(context.invocation_metadata()).get("batchwire-route"):
            context.set_trailing_metadata((("grpc-status-details-bin", b"\xff"),))
        context.abort(grpc.StatusCode.ABORTED, "bell \x1b[2J")


@pytest.mark.parametrize("route", [[], ["--route", "/x/"]])
def test_call_tells_an_error_without_details(route: list[str]) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    batch_pb2_grpc.add_BatchServiceServicer_to_server(_Plain(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        told = said(call("--grpc", f"127.0.0.1:{port}", *route), 3)
        assert told == "ABORTED: bell \\x1b[2J (calls may have been run; results that came: 0)"
    finally:
        server.stop(0)


def test_call_takes_one_address_and_a_route_for_grpc_alone() -> None:
    both = call("--http", "http://127.0.0.1:9/", "--grpc", "127.0.0.1:9")
    assert said(both) == "give --http URL or --grpc HOST:PORT, not both"
    assert said(call("--http", "http://127.0.0.1:9/", "--route", "/a/")).startswith("--route is for --grpc")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_call_leaves_no_draft_when_it_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    output = tmp_path / "answer.json"
    output.write_text("before")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [*PROGRAM, "call", "-", "--http", f"http://127.0.0.1:{listener.getsockname()[1]}/"]
        with subprocess.Popen(
            [*command, "--output", str(output)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as made:
            connection, _ = listener.accept()
            with closing(connection):
                connection.sendall(HEAD + b'{"responses":[')
                end = time.monotonic() + 10
                while not any(file.name.endswith(".part") and file.stat().st_size for file in tmp_path.iterdir()):
                    assert time.monotonic() < end
                    time.sleep(0.01)
                made.send_signal(number)
                assert made.stderr is not None
                line = made.stderr.read().decode()
    assert made.returncode == 128 + number
    expected = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert line == f"batchwire call: {expected}\n"
    assert (os.listdir(tmp_path), output.read_text()) == (["answer.json"], "before")


def test_an_answer_that_breaks_off_on_a_terminal_ends_its_line() -> None:
    broken = HEAD + b'{"responses":['

    def serve() -> None:
        connection, _ = listener.accept()
        with closing(connection):
            got = b""
            while not got.endswith(b"\r\n0\r\n\r\n"):
                got += connection.recv(65536)
            connection.sendall(broken)

    ours, theirs = pty.openpty()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        made = subprocess.run(
            [*PROGRAM, "call", "-", "--http", url, "--no-progress"], input=BATCH, stdout=theirs, stderr=subprocess.PIPE,
            timeout=30,
        )  # fmt: skip
        thread.join(10)
    assert made.returncode == 3
    assert os.read(ours, 4096) == b'{"responses":[\r\n'
    os.close(ours)
    os.close(theirs)


def test_call_does_not_write_where_standard_output_is_closed() -> None:
    command = f"{' '.join(PROGRAM)} call - --http http://127.0.0.1:9/ >&-"
    made = subprocess.run(["/bin/sh", "-c", command], input=BATCH, stderr=subprocess.PIPE, timeout=30)
    assert (made.returncode, made.stderr) == (2, b"batchwire call: standard output: Bad file descriptor\n")
