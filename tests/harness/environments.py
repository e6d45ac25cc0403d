"""Environments of their own for foreign clients: exactly the pinned packages, unmodified, made once.

They lie below build/clients/ and are named by a hash of their pins, so a changed pin makes a new one. A client must
never see the packages of the test run, nor the test run those of a client.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MADE = Path(__file__).resolve().parents[2] / "build" / "clients"
INSTALL_SECONDS = 500
SCRIPTS = (".js", ".cjs", ".mjs")


class EnvironmentFailure(Exception):
    """An environment cannot be made, or a client's script failed; the message holds the output of the program."""


def python_environment(folder: Path) -> Path:
    """The python of a virtual environment with folder/requirements.txt, which pins every package that is needed."""
    pins = folder / "requirements.txt"

    def fill(target: Path) -> None:
        _run([sys.executable, "-m", "venv", str(target)], target)
        pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        # Nothing may come along that is not pinned; `check` tells if a pin is missing.
        _run([*pip, "install", "--quiet", "--no-deps", "-r", str(pins.resolve())], target)
        _run([*pip, "check"], target)

    with _environment(folder, [pins], sys.version, fill) as target:
        return target / "bin" / "python"


def node_environment(folder: Path) -> Path:
    """A directory with node_modules as folder/package-lock.json says, and the folder's scripts beside it.

    Run the scripts there: Node looks for packages from the script's own place upwards.
    """
    pins = [folder / "package.json", folder / "package-lock.json"]

    def fill(target: Path) -> None:
        for pin in pins:
            shutil.copy(pin, target)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], target)

    with _environment(folder, pins, _run(["node", "--version"], folder), fill) as target:
        for script in folder.iterdir():
            if script.suffix in SCRIPTS:
                _copy(script, target / script.name)
        return target


def java_environment(folder: Path) -> Path:
    """A directory with the jars that folder/pom.xml pins, and those that these were released with, below jars/."""
    pins = [folder / "pom.xml"]

    def fill(target: Path) -> None:
        _run(
            ["mvn", "-q", "-B", "-f", str(pins[0]), "dependency:copy-dependencies", f"-DoutputDirectory={target}/jars"],
            target,
        )

    with _environment(folder, pins, _run(["java", "--version"], folder), fill) as target:
        return target


def go_program(folder: Path, package: str) -> Path:
    """The program of a Go package that folder/go.mod pins, with all that it is built from (go.sum)."""
    pins = [folder / "go.mod", folder / "go.sum"]
    name = package.rpartition("/")[2]

    def fill(target: Path) -> None:
        for pin in pins:
            shutil.copy(pin, target)
        _run(["go", "build", "-o", name, package], target)

    with _environment(folder, pins, _run(["go", "version"], folder) + package, fill) as target:
        return target / name


def run_client(command: Sequence[str | Path], cwd: Path, timeout: float = 45) -> Any:
    """Runs a client's script; the JSON of the last line it prints. Raises EnvironmentFailure if it fails."""
    lines = _run([str(part) for part in command], cwd, timeout).splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        raise EnvironmentFailure(f"{command} printed no JSON in its last line: {lines[-1:]}") from None


@contextmanager
def _environment(folder: Path, pins: list[Path], version: str, fill: Callable[[Path], None]) -> Iterator[Path]:
    """The environment under its lock, made first if it is not there or was not finished."""
    digest = hashlib.sha256(version.encode())
    for pin in pins:
        digest.update(b"\0" + pin.read_bytes())
    target = MADE / f"{folder.name}-{digest.hexdigest()[:16]}"
    MADE.mkdir(parents=True, exist_ok=True)
    with open(MADE / f"{target.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = target / "made.stamp"
        if not stamp.exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            fill(target)
            stamp.touch()
        yield target


def _run(command: list[str], cwd: Path, timeout: float = INSTALL_SECONDS) -> str:
    """Runs a program that sees nothing of the Python of the test run; what it printed."""
    hidden = ("VIRTUAL_ENV", "PYTHON", "NODE_", "BATCHWIRE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except FileNotFoundError:
        raise EnvironmentFailure(f"{command[0]} is not installed; the tests of foreign clients need it") from None
    except subprocess.TimeoutExpired as late:
        output = b"".join(part for part in (late.stdout, late.stderr) if part).decode(errors="replace")
        raise EnvironmentFailure(f"{' '.join(command)} did not end within {timeout} s:\n{output[-4000:]}") from None
    if done.returncode != 0:
        output = done.stdout[-4000:] + done.stderr[-4000:]
        raise EnvironmentFailure(f"{' '.join(command)} ended with {done.returncode}:\n{output}")
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    """Replaces the target in one step, so that a script that is just being started is whole."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as draft:
        draft.write(source.read_bytes())
    os.replace(draft.name, target)
