"""What the Makefile and setup.py promise of a fresh checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_the_core_is_compiled_once() -> None:
    """`make setup` compiles the core in the tree, so the editable install before it must name no extension."""
    [install] = re.findall(r"^\t.*pip install .* -e \.$", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE)
    setting = re.search(r"\b(BATCHWIRE_\w+)=(\S+)", install)
    assert setting is not None
    asked = (
        "import setuptools, sys; setuptools.setup = lambda **given: print(len(given['ext_modules'])); "
        "__file__ = 'setup.py'; exec(compile(open('setup.py').read(), 'setup.py', 'exec'))"
    )
    made = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=TOP,
        env={**os.environ, setting[1]: setting[2]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.split()[-1] == "0"
