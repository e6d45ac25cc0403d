"""The last moments of a worker."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import multiprocessing, os
from batchwire.service.warden import Warden

class Late:
    def __init__(self, parent, write=os.write):
        self.speak = lambda: write(parent, b"word")

    def __del__(self):
        self.speak()
        print("spoken")

ours, theirs = multiprocessing.Pipe()
kept = os.dup(theirs.fileno())  # open to the end, whatever Python closes
warden = Warden(20, theirs)
warden.begin()
late = Late(os.dup(ours.fileno()))  # goes when Python takes its modules apart, after it has given its signals back
warden.count_down()
"""


def test_OP_02_a_parent_that_speaks_late_does_not_kill_its_worker() -> None:
    """As after a signal to the whole group, which a worker with nothing to do follows before its parent does."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "spoken\n", "")
