"""h2spec, the public conformance suite for HTTP/2 servers: all its sections, strict cases included.

It is built with Go from tests/clients/h2spec/go.mod; `make test` installs Go where it is missing. h2spec 2 knows RFC
7540; where RFC 9113 asks for something else, the case is named here with its reason, and test_conformance.py says what
the gateway does in its place.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import read_all_app
from harness import config
from harness.environments import go_program
from harness.gateway import Gateway
from harness.http2_wire import Http2Wire, request
from harness.native import nothing_is_left

FOLDER = Path(__file__).resolve().parents[1] / "clients" / "h2spec"
PACKAGE = "github.com/summerwind/h2spec/cmd/h2spec"
CASES = 140
"""At least so many; fewer would mean that a section was left out."""

OTHERWISE = {
    # The port speaks HTTP/1.1 as well: the answer is its 400, and the connection ends.
    ("http2/3.5", "Sends invalid connection preface"),
    # RFC 9113 5.1: on a closed stream an endpoint may ignore them, and for a time it must.
    ("http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"),
    ("http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"),
    ("http2/5.1", "closed: Sends a DATA frame"),
    ("http2/5.1", "closed: Sends a HEADERS frame"),
    # A stream that was left out is closed; nghttp2 cannot tell it from one that was used, and passes over its frames.
    ("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"),
}

# The first run builds h2spec.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose answers come after the whole request.

    An answer before it may end the stream, and frames that a case sends then meet a closed one: whether they do is a
    matter of how the bytes are read. Its limits give clients their time: h2spec waits for what does not come.
    """
    upstreams = {"patient": {"app": "read_all_app:app", "base": "/"}}
    routes = [{"root": "/app/", "upstream": "patient", "default": True, "serve_app": True}]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)  # where the app's module is found
        running = Gateway(config.make(upstreams, routes), tmp_path)
        running.start()
    with Http2Wire(running.http_port) as wire:
        assert len(wire.ask(request("GET", "/app/")).data) == len(read_all_app.LONG)
    yield running
    running.process.terminate()
    assert running.process.wait(20) == 0


def test_h2spec(patient: Gateway, tmp_path: Path) -> None:
    patient.wait_idle()
    descriptors = patient.fds()
    report = tmp_path / "report.xml"
    program = go_program(FOLDER, PACKAGE)
    arguments = ["--host", "127.0.0.1", "--port", str(patient.http_port), "--path", "/app/"]
    options = ["--strict", "--timeout", "4", "--junit-report", str(report)]
    done = subprocess.run(
        [str(program), "generic", "http2", "hpack", *arguments, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) > CASES, done.stdout
    assert not [case.attrib for case in cases if case.find("skipped") is not None]
    failed = {
        (case.attrib["package"], case.attrib["classname"])
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    assert not failed - OTHERWISE, done.stdout[done.stdout.find("Failures:") :]
    nothing_is_left(patient, descriptors)
