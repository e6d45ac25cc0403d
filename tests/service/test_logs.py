"""The form of the logs on standard error."""

import os
import pty
import subprocess
import sys

SAY = (
    "import structlog; from batchwire.service.logs import set_up; "
    "set_up('console', 'info'); structlog.get_logger().info('up')"
)


def test_no_colours_in_a_file() -> None:
    made = subprocess.run([sys.executable, "-c", SAY], stderr=subprocess.PIPE, check=True)
    assert b"up" in made.stderr
    assert b"\x1b" not in made.stderr


def on_terminal(**environment: str) -> bytes:
    ours, theirs = pty.openpty()
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    try:
        subprocess.run([sys.executable, "-c", SAY], stderr=theirs, env={**inherited, **environment}, check=True)
        return os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)


def test_colours_on_a_terminal_that_wants_them() -> None:
    assert b"\x1b" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")
