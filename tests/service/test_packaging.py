"""What the Makefile and setup.py promise of a fresh checkout."""

import os
import re
import subprocess
import sys
import tomllib
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


def test_every_package_is_installed() -> None:
    """A folder that pyproject.toml does not name is there in the tree, and missing in a wheel."""
    named = set(tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"])
    rooms = {"core": TOP / "core", "service": TOP / "service", "client": TOP / "clients" / "python"}
    found = {
        ".".join(["batchwire", name, *file.parent.relative_to(room).parts])
        for name, room in rooms.items()
        for file in room.rglob("__init__.py")
    }
    assert found <= named


def test_the_native_front_is_left_out_where_its_library_is_missing(tmp_path: Path) -> None:
    asked = (
        "import Cython.Build, setuptools, sys; Cython.Build.cythonize = lambda given, **_: given; "
        "setuptools.setup = lambda **given: print(*[made.name for made in given['ext_modules']]); "
        "__file__ = 'setup.py'; exec(compile(open('setup.py').read(), 'setup.py', 'exec'))"
    )

    def names(path: str) -> list[str]:
        made = subprocess.run(
            [sys.executable, "-c", asked],
            cwd=TOP,
            env={**os.environ, "PATH": path, "BATCHWIRE_COMPILE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        missing.append("going on without the native front" in made.stderr)
        return made.stdout.split()

    missing: list[bool] = []
    without = names(str(tmp_path))
    assert "batchwire.core.session" in without
    assert not [name for name in without if ".front." in name]
    pretending = tmp_path / "pkg-config"
    pretending.write_text("#!/bin/sh\necho -lnghttp2\n")
    pretending.chmod(0o755)
    whole = names(f"{tmp_path}:/bin:/usr/bin")
    assert "batchwire.core.front.http2" in whole
    assert set(without) < set(whole)
    assert missing == [True, False]
