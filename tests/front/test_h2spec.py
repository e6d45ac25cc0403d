"""h2spec, the public conformance suite for HTTP/2 servers: all its sections, strict cases included.

It is built with Go from tests/clients/h2spec/go.mod; `make test` installs Go where it is missing. h2spec 2 knows RFC
7540; where RFC 9113 asks for something else, the case is named here with its reason, and test_conformance.py says what
the gateway does in its place.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from harness.environments import go_program
from harness.gateway import Gateway
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


def test_h2spec(gateway: Gateway, tmp_path: Path) -> None:
    """Before a gateway that gives clients their time: h2spec waits for what does not come."""
    gateway.wait_idle()
    descriptors = gateway.fds()
    report = tmp_path / "report.xml"
    program = go_program(FOLDER, PACKAGE)
    # The answer must be longer than the windows that some cases begin with.
    arguments = ["--host", "127.0.0.1", "--port", str(gateway.http_port), "--path", "/metrics"]
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
    nothing_is_left(gateway, descriptors)
