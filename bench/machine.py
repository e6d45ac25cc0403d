"""Names the machine and the versions that figures were taken with. Must never give a host or user name."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from .processes import ROOT
from .upstream import find_tool

_PACKAGES = [
    "batchwire",
    "Cython",
    "uvloop",
    "grpcio",
    "protobuf",
    "httptools",
    "aiohttp",
    "httpx",
]


def describe() -> list[tuple[str, str]]:
    """What and value: CPU, cores, memory, kernel, Python, packages, tools, revision, load before the run."""
    return [
        ("CPU", _first_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()),
        ("cores", str(os.cpu_count())),
        ("memory", _first_field("/proc/meminfo", "MemTotal")),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)),
        ("nginx", _said("nginx", "-v").removeprefix("nginx version: nginx/")),
        ("wrk", _said("wrk", "-v").split(" Copyright")[0].removeprefix("wrk ")),
        ("Go", _said("go", "version").removeprefix("go version ")),
        ("Rust", _said("rustc", "--version").removeprefix("rustc ")),
        ("revision", _revision()),
        ("load average before", "{:.2f} (1 min), {:.2f} (5 min)".format(*os.getloadavg()[:2])),
    ]


def _first_field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _said(tool: str, option: str) -> str:
    path = find_tool(tool)
    if path is None:
        return "absent"
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"
