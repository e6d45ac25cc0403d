"""The form of the logs on standard error."""

import json
import os
import pty
import subprocess
import sys
from datetime import datetime

from batchwire.service import logs
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_batch_line_is_what_structlog_would_write() -> None:
    """It is written without structlog where there is nothing out of the ordinary to say."""
    say = """
import asyncio
from batchwire.core import BatchHead, Limits, HttpUpstream, Route
from batchwire.core.ledger import Ledger
from batchwire.service import logs

async def main():
    loop = asyncio.get_running_loop()
    route = Route(root="/svc/", upstream=HttpUpstream(loop, name="a", addresses=[("127.0.0.1", 1)]), limits=Limits())
    logs.set_up("json", "info")
    for write in (logs.plain_writer(), None):
        ledger = Ledger(loop, 10, 10, write=write, say=logs.batch_line)
        account = ledger.account("grpc", '/a"b/')
        batch = ledger.open(account, route, "127.0.0.1:5", "00-\u00e9-1", BatchHead(dialect="json"))
        batch.session.feed(b'{"requests":[{"id":"1","method":"get","url":"http://elsewhere/"}]}')
        batch.session.feed_end()
        while batch.session.take():
            pass
        batch.close("deadline")
        ledger.write_on()

asyncio.run(main())
"""
    made = subprocess.run([sys.executable, "-c", say], stderr=subprocess.PIPE, check=True, text=True)
    direct, through = map(json.loads, made.stderr.splitlines())
    assert direct["elapsed_ms"] < 1000
    assert through["elapsed_ms"] < 1000
    for line in (direct, through):
        del line["elapsed_ms"]
    for line in (direct, through):
        datetime.fromisoformat(line.pop("timestamp"))
    assert direct == through
    assert direct["route"] == '/a"b/'
    assert direct["trace"] == "00-é-1"
    assert (direct["calls"], direct["refused"], direct["ended"]) == (1, 1, "deadline")
    assert "succeeded" not in direct


def test_OP_13_what_a_terminal_would_obey_is_escaped_on_the_console() -> None:
    say = (
        "import logging, structlog; from batchwire.service.logs import set_up; set_up('console', 'info'); "
        "trace = 'a\\x9b31m\\x1b[2J\\x85\\u202e\\x07\\n\\x7f-é'; structlog.get_logger().warning('batch', trace=trace); "
        "logging.getLogger('other').warning('%s', trace)"
    )
    made = subprocess.run([sys.executable, "-c", say], stderr=subprocess.PIPE, check=True)
    text = made.stderr.decode()
    assert "-é" in text
    assert all(character.isprintable() or character == "\n" for character in text), text


@given(st.text(max_size=40))
def test_OP_13_what_prints_stays_as_it_is(text: str) -> None:
    shown = logs._visible(None, "", {"trace": text})["trace"]
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
