"""`batchwire call`: both directions at once, files that are replaced whole, and one line for whatever goes wrong."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from batchwire.service.call import Tally

PROGRAM = [sys.executable, "-m", "batchwire.service", "call"]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
RESPONSE = b'{"id":"%d","status":200,"headers":{},"body":"%s"}'
ANSWER = b'{"responses":[' + RESPONSE % (1, b"") + b"]}"
BATCH = b'{"requests":[{"id":"1","method":"get","url":"A"}]}'

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """The URL of a server that does this with its one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/$batch"
        thread.join(20)
        assert not thread.is_alive()


def received(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        chunk = connection.recv(65536)
        assert chunk, "the client has gone"
        data += chunk
    return data


def answer(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(HEAD + ANSWER)


def stall(connection: socket.socket) -> None:
    """Takes what comes and says nothing until the client goes."""
    while connection.recv(65536):
        pass


def call(*words: str | Path, given: bytes = BATCH) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*PROGRAM, *map(str, words)], input=given, capture_output=True, timeout=30)


def one_line(made: "subprocess.CompletedProcess[bytes]", code: int = 2) -> str:
    """What it said; it must be one line, and none of Python's."""
    text = made.stderr.decode()
    assert (made.returncode, text.count("\n")) == (code, 1), text
    assert text.startswith("batchwire call: ")
    assert "Traceback" not in text
    return text[len("batchwire call: ") : -1]


def test_it_reads_while_it_writes(tmp_path: Path) -> None:
    """The server takes a piece of the batch only when the answers to the piece before have been taken."""
    piece, pieces = b"x" * 1_000_000, 64

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(HEAD + b'{"responses":[')
        tail = b""
        for number in range(pieces):
            tail = (tail + connection.recv(65536))[-7:]
            connection.sendall((b"," if number else b"") + RESPONSE % (number, piece))
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            tail = (tail + connection.recv(65536))[-7:]
        connection.sendall(b"]}")

    batch, output = tmp_path / "batch.json", tmp_path / "answer.json"
    batch.write_bytes(b'{"requests":[' + b",".join([b"{}"] * pieces) + b" " * 30_000_000 + b"]}")
    with serving(serve) as url:
        made = call(batch, "--http", url, "--output", output)
    assert (made.returncode, made.stderr) == (0, b"")
    assert len(json.loads(output.read_bytes())["responses"]) == pieces


def test_answers_come_while_the_batch_is_still_being_written() -> None:
    sent = threading.Event()

    def serve(connection: socket.socket) -> None:
        received(connection, b"first")
        connection.sendall(HEAD + b'{"responses":[')
        received(connection, b"0\r\n\r\n")
        connection.sendall(b"]}")
        sent.set()

    with serving(serve) as url:
        command = [*PROGRAM, "-", "--http", url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as made:
            assert made.stdin is not None
            assert made.stdout is not None
            made.stdin.write(b"first")
            assert select.select([made.stdout], [], [], 20)[0]
            assert made.stdout.read(100) == b'{"responses":['
            assert not sent.is_set()
            made.stdin.close()
            assert made.stdout.read(100) == b"]}"
        assert made.returncode == 0


def test_the_input_may_be_the_output(tmp_path: Path) -> None:
    file = tmp_path / "batch.json"
    file.write_bytes(BATCH)
    file.chmod(0o640)
    with serving(answer) as url:
        assert call(file, "--http", url, "--output", file).returncode == 0
    assert file.read_bytes() == ANSWER
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["batch.json"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to("real/answer.json")
    with serving(answer) as url:
        assert call("-", "--http", url, "--output", link).returncode == 0
    assert link.is_symlink()
    assert link.read_bytes() == ANSWER


def test_a_device_is_written_to() -> None:
    with serving(answer) as url:
        made = call("-", "--http", url, "--output", "/dev/stdout")
    assert (made.returncode, made.stdout) == (0, ANSWER)


def cut(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(HEAD.replace(b"connection: close", b"content-length: 4000") + ANSWER)


def unfinished(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(HEAD + ANSWER[:-2])


def empty(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(HEAD)


def page(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(HEAD + b"<html>")


def noise(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")
    connection.sendall(b"\x00\x01 what\r\n\r\n")


def gone(connection: socket.socket) -> None:
    received(connection, b"\r\n0\r\n\r\n")


def cut_with_a_word(connection: socket.socket) -> None:
    head = received(connection, b"\r\n0\r\n\r\n")
    assert b"te: trailers\r\n" in head
    connection.sendall(HEAD.replace(b"connection: close", b"transfer-encoding: chunked"))
    part = ANSWER[:-2] + b',{"id":"2","sta'
    error = b'{"error":{"code":"DuplicateId","message":"twice","target":"requests[9].id"}}'
    connection.sendall(b"%x\r\n%b\r\n0\r\nodata-error: %b\r\n\r\n" % (len(part), part, error))


@pytest.mark.parametrize(
    ("serve", "said", "results"),
    [
        (cut, "the answer broke off: the connection was closed", 1),
        (unfinished, "the answer broke off", 1),
        (cut_with_a_word, "the answer broke off DuplicateId at requests[9].id: twice", 1),
        (empty, "the answer broke off", 0),
        (page, "the answer broke off", 0),
        (noise, "no answer came", 0),
        (gone, "no answer came: the connection was closed (a gateway that speaks TLS", 0),
    ],
)
def test_what_is_no_answer_leaves_the_output_as_it_was(tmp_path: Path, serve: Serve, said: str, results: int) -> None:
    """The results that came are beside it, in a document that is one."""
    output = tmp_path / "answer.json"
    output.write_text("before")
    (tmp_path / "answer.json.part").write_text("of another time")
    with serving(serve) as url:
        told = one_line(call("-", "--http", url, "--output", output), 3)
    assert told.startswith(said)
    assert f"calls may have been run; results that came: {results}" in told
    assert output.read_text() == "before"
    assert (tmp_path / "answer.json.part").read_text() == "of another time"
    files = {"answer.json", "answer.json.part"}
    if results:
        part = tmp_path / "answer.json.part1"
        assert told.endswith(f", in {part})")
        assert json.loads(part.read_bytes()) == json.loads(ANSWER)
        files.add(part.name)
    assert set(os.listdir(tmp_path)) == files


def test_standard_output_has_the_answer_as_far_as_it_came() -> None:
    with serving(cut_with_a_word) as url:
        made = call("-", "--http", url)
    assert (made.returncode, made.stdout) == (3, ANSWER[:-2] + b',{"id":"2","sta')


@pytest.mark.parametrize("at", range(1, len(ANSWER)))
def test_results_that_came_are_a_document_wherever_it_broke_off(at: int) -> None:
    text = b'{"@context":"a\\"","responses":[%b,%b],"more":[{}]}' % (RESPONSE % (1, b"]}"), RESPONSE % (2, b""))
    tally = Tally("responses")
    for piece in (text[: at // 2], text[at // 2 : at]):
        tally.add(piece)
    results, size, end = tally.reached()
    if results:
        assert len(json.loads(text[:size] + end)["responses"]) == results
    assert results == tally.objects


ERROR = b'{"error":{"code":"TooLarge","message":"too\\n large"}}'
ODATA = b"odata-version: 4.01\r\n"
STARTED = ODATA + b"batchwire-calls-started: 3\r\n"
GOOGLE = b'{"error":{"code":503,"message":"upstream connect error","status":"UNAVAILABLE"}}'


@pytest.mark.parametrize(
    ("status", "fields", "body", "code"),
    [
        (400, ODATA, ERROR, 2),
        (408, ODATA, ERROR, 2),
        (413, ODATA, ERROR, 2),
        (503, ODATA, ERROR, 2),
        (403, b"", GOOGLE, 2),
        (404, b"", b"<html>", 2),
        (302, b"location: /\r\n", b"", 2),
        (400, STARTED, ERROR, 3),
        (408, STARTED, ERROR, 3),
        (500, b"", ERROR, 3),
        # What a proxy says that may have passed the batch on.
        (400, b"", b"<html>", 3),
        (400, b"", GOOGLE, 3),
        (400, b"", ERROR, 3),
        (409, b"", GOOGLE, 3),
        (413, b"", b"<html>", 3),
        (499, b"", b"", 3),
        (503, b"", GOOGLE, 3),
        (503, b"", ERROR, 3),
        (503, ODATA, GOOGLE, 3),
        (408, b"", b"", 3),
        (502, b"", b"<html>", 3),
        (503, b"", b"<html>", 3),
        (504, b"", b"<html>", 3),
        # And a server that has done something else with it.
        (204, b"", b"", 3),
    ],
)
def test_2_is_said_where_nothing_was_run_for_certain(status: int, fields: bytes, body: bytes, code: int) -> None:
    def refuse(connection: socket.socket) -> None:
        received(connection, b"\r\n0\r\n\r\n")
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 %d X\r\n%b%b\r\n%b" % (status, fields, length, body))

    with serving(refuse) as url:
        assert one_line(call("-", "--http", url), code).startswith(
            f"the {'gateway' if fields.startswith(ODATA) else 'server'} answered {status}"
        )


def one_word(text: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        received(connection, b"\r\n0\r\n\r\n")
        connection.sendall(HEAD + text)

    return serve


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"hello":1}', "the answer is no batch answer"),
        (b"[1]", "the answer is no batch answer"),
        (b'{"error":{"code":"x","message":"y"}}', "the answer is no batch answer"),
        (b'{"a":{"responses":[{"id":"1","status":200}]}}', "the answer is no batch answer"),
        (b'{"x":["responses",{}]}', "the answer is no batch answer"),
        (b'{"responses":[]}', "1 calls were sent, and 0 responses came"),
        (b'{"responses":[%b,%b]}' % (RESPONSE % (1, b""), RESPONSE % (2, b"")), "1 calls were sent, and 2 responses"),
    ],
)
def test_an_answer_that_is_not_that_of_the_batch(text: bytes, said: str) -> None:
    with serving(one_word(text)) as url:
        assert one_line(call("-", "--http", url), 3).startswith(said)


@pytest.mark.parametrize("cut", range(1, 40))
def test_an_answer_in_any_two_pieces_is_counted(cut: int) -> None:
    tally = Tally("responses")
    text = b'{"@context":"a\\"","responses":[%b,%b],"more":[{}]}' % (RESPONSE % (1, b"]}"), RESPONSE % (2, b""))
    tally.add(text[:cut])
    tally.add(text[cut:])
    assert (tally.found(), tally.objects, tally.failed, tally.complete()) == (True, 2, 0, True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://127.0.0.1/",
        "http://",
        "http://:80/",
        "http://[::1/$batch",
        "http://127.0.0.1:port/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/ü",
        "http://ho st/",
        f"http://{'a' * 300}/",
        "http://a..b/",
    ],
)
def test_a_bad_url_is_one_line(url: str) -> None:
    made = call("-", "--http", url)
    if url:
        one_line(made)
    else:
        assert made.returncode == 2


def test_what_cannot_be_reached_or_read_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = one_line(call("-", "--http", f"http://127.0.0.1:{port}/"))
    assert said == f"127.0.0.1:{port} cannot be connected to: Connection refused"
    assert "UNAVAILABLE" in one_line(call("-", "--grpc", f"127.0.0.1:{port}"))
    assert "no URL such as http://127.0.0.1" in one_line(call("-", "--grpc", "http://127.0.0.1:9"))
    assert one_line(call("-", "--grpc", "http://no\nhost"))
    assert one_line(call("-", "--grpc", f"127.0.0.1:{port}", "--route", "/ü/\n"))
    missing = tmp_path / "none" / "x.json"
    assert one_line(call(missing, "--http", f"http://127.0.0.1:{port}/")) == f"{missing}: No such file or directory"
    said = one_line(call("-", "--http", f"http://127.0.0.1:{port}/", "--output", missing))
    assert said == f"{missing}: No such file or directory"
    for transport in (["--http", f"http://127.0.0.1:{port}/"], ["--grpc", f"127.0.0.1:{port}"]):
        assert one_line(call(tmp_path, *transport))


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf"])
def test_a_timeout_is_a_number_of_seconds(timeout: str) -> None:
    assert "--timeout" in one_line(call("-", "--http", "http://127.0.0.1:9/", "--timeout", timeout))


def test_the_timeout_holds_for_the_whole_batch(tmp_path: Path) -> None:
    """Each wait is short, and there is always one more."""
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        received(connection, b"\r\n0\r\n\r\n")
        connection.sendall(HEAD)
        while not done.wait(0.05):
            try:
                connection.sendall(b" ")
            except OSError:
                return

    output = tmp_path / "answer.json"
    with serving(drip) as url:
        made = call("-", "--http", url, "--timeout", "1", "--output", output)
        done.set()
    assert one_line(made, 3).startswith("the batch did not end within 1 s (calls may have been run;")
    assert os.listdir(tmp_path) == []


def test_the_gateway_hears_of_the_timeout() -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(received(connection, b"\r\n0\r\n\r\n"))
        connection.sendall(HEAD + ANSWER)

    with serving(serve) as url:
        assert call("-", "--http", url, "--timeout", "6.5").returncode == 0
    assert b"\r\nprefer: wait=7\r\n" in heads[0]


@pytest.mark.parametrize("transport", ["--http", "--grpc"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_batch_without_an_end_is_ended(transport: str, interrupted: bool) -> None:
    """Standard input stays open and the gateway says nothing: the time-out or Ctrl-C ends it with one line."""
    reached = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(1)
        reached.set()
        stall(connection)

    with serving(serve) as url:
        address = url if transport == "--http" else url.split("/")[2]
        command = [*PROGRAM, "-", transport, address, "--timeout", "60" if interrupted else "2"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
            if interrupted:
                assert reached.wait(20)
                made.send_signal(signal.SIGINT)
            assert made.stderr is not None
            said = made.stderr.read().decode()
    expected = (130, "interrupted") if interrupted else (2, "the batch did not end within 2 s")
    assert (made.returncode, said) == (expected[0], f"batchwire call: {expected[1]}\n")


def test_a_reader_that_leaves_is_no_line() -> None:
    def serve(connection: socket.socket) -> None:
        received(connection, b"\r\n0\r\n\r\n")
        try:
            connection.sendall(HEAD + b'{"responses":[' + b" " * 4_000_000)
        except OSError:
            return

    with serving(serve) as url:
        command = [*PROGRAM, "-", "--http", url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
            assert made.stdin is not None
            assert made.stdout is not None
            assert made.stderr is not None
            made.stdout.close()
            made.stdin.write(BATCH)
            made.stdin.close()
            said = made.stderr.read()
    assert (made.returncode, said) == (141, b"")
