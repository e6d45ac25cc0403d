"""Builds the Rust peer into build/bench/rust_gateway. It must never touch the sources, nor write a registry's name.

The contract goes there as descriptors, made by protoc of grpcio-tools; the peer's build.rs makes Rust code of them.
The cargo command fetches the crates that Cargo.lock pins, once, from where its own settings say.
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from .processes import ROOT
from .upstream import NotInstalled, find_tool

SOURCE = ROOT / "bench" / "peers" / "rust_gateway"
BUILD = ROOT / "build" / "bench" / "rust_gateway"
_PROTO = ROOT / "proto"
_CONTRACT = "batchwire/v1/batch.proto"
_DESCRIPTORS = "contract.bin"
_BUILD_SECONDS = 1800


def binary() -> Path:
    """The peer's program, built first when a source is newer. Raises NotInstalled without cargo or its crates."""
    made = BUILD / "rust_gateway"
    sources = [*(path for path in SOURCE.rglob("*") if path.is_file()), _PROTO / _CONTRACT]
    if not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        cargo = find_tool("cargo")
        if cargo is None:
            raise NotInstalled("cargo is not installed (the peer in Rust needs the version in its Cargo.toml)")
        _check_version(cargo)
        _build(cargo, made)
    return made


def _check_version(cargo: str) -> None:
    """Old ones cannot even read the manifest, and say so in many lines."""
    needed = tomllib.loads((SOURCE / "Cargo.toml").read_text())["package"]["rust-version"]
    said = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"cargo (\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < tuple(map(int, needed.split("."))):
        raise NotInstalled(f"the peer in Rust needs cargo {needed}, and here is {said.strip() or 'one that fails'}")


def _build(cargo: str, made: Path) -> None:
    # What was compiled before stays: the crates take minutes.
    shutil.rmtree(BUILD / "src", ignore_errors=True)
    shutil.copytree(SOURCE, BUILD, ignore=shutil.ignore_patterns("target"), dirs_exist_ok=True)
    if lack := _complaint(cargo, "fetch", "--locked", "--quiet"):
        raise NotInstalled(f"the crates of the Rust peer cannot be had: {lack}")
    build = ("build", "--release", "--locked", "--offline", "--quiet", "--target-dir", "target")
    if wrong := _describe() or _complaint(cargo, *build):
        raise RuntimeError(f"the Rust peer cannot be built: {wrong}")
    # A copy, because cargo leaves the time of a program that needed no work as it was.
    shutil.copy(BUILD / "target" / "release" / made.name, made)


def _complaint(*command: str) -> str:
    """What the cargo command had to complain of; empty when it did its work."""
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    return (done.stderr.strip()[-400:] or f"exit {done.returncode}") if done.returncode else ""


def _describe() -> str:
    import google.api.httpbody_pb2 as httpbody
    import grpc_tools
    from grpc_tools import protoc

    folders = [_PROTO, Path(grpc_tools.__file__).parent / "_proto", Path(httpbody.__file__).resolve().parents[2]]
    arguments = ["protoc", *(f"-I{folder}" for folder in folders), "--include_imports"]
    arguments.append(f"--descriptor_set_out={BUILD / _DESCRIPTORS}")
    return "protoc failed" if protoc.main([*arguments, _CONTRACT]) else ""


if __name__ == "__main__":
    print(binary())
