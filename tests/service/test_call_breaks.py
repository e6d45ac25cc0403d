"""`batchwire call` before a real gateway, when a batch does not end well: what was run is never taken for not run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import config, rest
from harness.gateway import Gateway
from harness.scripted import Gate, Reply, ScriptedUpstream, json_reply

PROGRAM = [sys.executable, "-m", "batchwire.service", "call"]


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    gate = upstream.gate()
    upstream.on("POST", "/A", Reply(201, [("Content-Type", "application/json")], b"{}"))
    upstream.on("POST", "/held", json_reply({}, gate=gate))
    yield gate
    gate.open()


@pytest.fixture(params=["--http", "--grpc"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def to(way: str, gateway: Gateway, root: str = "/svc/") -> list[str]:
    if way == "--http":
        return ["--http", f"http://127.0.0.1:{gateway.http_port}{root}$batch"]
    return ["--grpc", gateway.grpc_address, "--route", root]


def posts(urls: dict[str, str]) -> list[dict[str, Any]]:
    headers = {"content-type": "application/json"}
    return [{"id": id, "method": "post", "url": url, "headers": headers, "body": {}} for id, url in urls.items()]


def test_the_timeout_is_that_of_the_batch(
    way: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate, tmp_path: Path
) -> None:
    """What has ended is there, and what is late is 504."""
    output = tmp_path / "answer.json"
    given = rest.encode({"requests": posts({"a": "A", "b": "held"})})
    command = [*PROGRAM, "-", *to(way, gateway), "--timeout", "1", "--output", str(output)]
    made = subprocess.run(command, input=given, capture_output=True, timeout=30)
    assert (made.returncode, made.stderr) == (1, b"")
    found = json.loads(output.read_bytes())["responses"]
    assert {response["id"]: response["status"] for response in found} == {"a": 201, "b": 504}


def test_a_gateway_that_dies_leaves_the_results_that_came(
    way: str, upstream: ScriptedUpstream, gate: Gate, tmp_path: Path
) -> None:
    settings = config.make(
        {"things": {"url": upstream.origin + "/"}}, [{"root": "/svc/", "upstream": "things", "streaming_threshold": 0}]
    )
    output, part = tmp_path / "answer.json", tmp_path / "answer.json.part"
    gateway = Gateway(settings, tmp_path)
    gateway.start()
    try:
        command = [*PROGRAM, "-", *to(way, gateway), "--output", str(output)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as made:
            assert made.stdin is not None
            assert made.stderr is not None
            made.stdin.write(rest.encode({"requests": posts({"a": "A", "b": "held"})}))
            made.stdin.close()
            upstream.wait_for_calls(2)

            def came() -> bool:
                drafts = [file for file in tmp_path.iterdir() if file.name.startswith(".answer.json")]
                return any(b'"status":201' in file.read_bytes() for file in drafts)

            gateway.wait(came, "the first result")
            gateway.kill()
            said = made.stderr.read().decode()
    finally:
        gateway.kill()
    assert made.returncode == 3
    assert said.endswith(f"(calls may have been run; results that came: 1, in {part})\n")
    assert [response["id"] for response in json.loads(part.read_bytes())["responses"]] == ["a"]
    assert not output.exists()


def test_without_results_the_file_is_said_to_be_as_it_was(
    way: str, upstream: ScriptedUpstream, gate: Gate, tmp_path: Path
) -> None:
    """There is nothing to keep, and no FILE.part to look for."""
    output = tmp_path / "answer.json"
    output.write_text("before")
    gateway = Gateway(
        config.make({"things": {"url": upstream.origin + "/"}}, [{"root": "/svc/", "upstream": "things"}]), tmp_path
    )
    gateway.start()
    try:
        command = [*PROGRAM, "-", *to(way, gateway), "--output", str(output)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as made:
            assert made.stdin is not None
            assert made.stderr is not None
            made.stdin.write(rest.encode({"requests": posts({"b": "held"})}))
            made.stdin.close()
            upstream.wait_for_calls(1)
            gateway.kill()
            said = made.stderr.read().decode()
    finally:
        gateway.kill()
    assert made.returncode == 3
    assert said.endswith(f"(calls may have been run; results that came: 0; {output} is left as it was)\n")
    assert output.read_text() == "before"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def broken(end: str) -> bytes:
    """More than the streaming threshold, and more than a gateway reads at once; the end is wrong."""
    calls = posts({str(number): "A" for number in range(3000)})
    for one in calls:
        one["body"] = {"text": "x" * 1000}
    whole = rest.encode({"requests": calls})
    if end == "truncated":
        return whole[:-10]
    return whole[:-2] + b"," + rest.encode(posts({"7": "A"})[0]) + b"]}"


@pytest.mark.parametrize("end", ["truncated", "twice"])
def test_a_batch_with_a_broken_end_is_no_refused_one(
    way: str, end: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate, tmp_path: Path
) -> None:
    output = tmp_path / "answer.json"
    command = [*PROGRAM, "-", *to(way, gateway), "--output", str(output)]
    made = subprocess.run(command, input=broken(end), capture_output=True, timeout=60)
    ran = len(upstream.log)
    assert ran > 0
    assert made.returncode == 3, made.stderr
    assert b"calls may have been run" in made.stderr
    parts = [name for name in os.listdir(tmp_path) if name.startswith("answer.json")]
    for name in parts:
        assert 0 < len(json.loads((tmp_path / name).read_bytes())["responses"]) <= ran


def test_a_stream_of_which_nothing_was_answered_tells_what_was_started(
    way: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """The error is the whole answer then, as it is where nothing was run."""
    command = [*PROGRAM, "-", *to(way, gateway, "/stream/")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        assert made.stdin is not None
        assert made.stderr is not None
        [call] = posts({"a": "held"})
        made.stdin.write(b'{"requests":[' + rest.encode(call) + b",")
        made.stdin.flush()
        upstream.wait_for_calls(1)
        made.stdin.write(rest.encode(call) + b"]}")
        made.stdin.close()
        threading.Timer(0.5, gate.open).start()
        said = made.stderr.read().decode()
    assert made.returncode == 3, said
    assert upstream.lines == ["POST /held"]


def test_a_batch_that_is_refused_as_a_whole_is_2(
    way: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    given = rest.encode({"requests": posts({"a": "A"}) * 2})
    made = subprocess.run([*PROGRAM, "-", *to(way, gateway)], input=given, capture_output=True, timeout=30)
    assert made.returncode == 2, made.stderr
    assert b"DuplicateId" in made.stderr
    assert b"may have been run" not in made.stderr
    assert upstream.lines == []
