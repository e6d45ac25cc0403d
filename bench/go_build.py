"""Builds the Go peer into build/bench/go_gateway. It must never touch the sources, nor write a registry's name.

The Go code of the contract is made there, by protoc of grpcio-tools and the plugins that go.mod pins as tools.
The go command fetches the modules once, from where its own settings say.
"""

import shutil
import subprocess
from pathlib import Path

from .processes import ROOT
from .upstream import NotInstalled, find_tool

SOURCE = ROOT / "bench" / "peers" / "go_gateway"
BUILD = ROOT / "build" / "bench" / "go_gateway"
_PROTO = ROOT / "proto"
_CONTRACT = "batchwire/v1/batch.proto"
_MODULE = "github.com/batchwire/batchwire/bench/peers/go_gateway"
_PACKAGE = f"{_MODULE}/gen/batchwirev1"
_BUILD_SECONDS = 900


def binary() -> Path:
    """The peer's program, built first when a source is newer. Raises NotInstalled without Go or its modules."""
    made = BUILD / "go_gateway"
    sources = [*SOURCE.iterdir(), _PROTO / _CONTRACT]
    if not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        go = find_tool("go")
        if go is None:
            raise NotInstalled("go is not installed (the peer in Go needs the version in its go.mod)")
        _build(go)
    return made


def _build(go: str) -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(SOURCE, BUILD)
    if lack := _complaint(go, "mod", "download"):
        raise NotInstalled(f"the modules of the Go peer cannot be had: {lack}")
    wrong = (
        _complaint(go, "build", "-o", "tools/", "tool") or _generate() or _complaint(go, "build", "-o", "go_gateway")
    )
    if wrong:
        raise RuntimeError(f"the Go peer cannot be built: {wrong}")


def _complaint(*command: str) -> str:
    """What the go command had to complain of; empty when it did its work."""
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    return (done.stderr.strip()[-400:] or f"exit {done.returncode}") if done.returncode else ""


def _generate() -> str:
    import google.api.httpbody_pb2 as httpbody
    import grpc_tools
    from grpc_tools import protoc

    folders = [_PROTO, Path(grpc_tools.__file__).parent / "_proto", Path(httpbody.__file__).resolve().parents[2]]
    arguments = ["protoc", *(f"-I{folder}" for folder in folders)]
    for kind in ("go", "go-grpc"):
        plugin = f"protoc-gen-{kind}"
        arguments += [f"--plugin={plugin}={BUILD / 'tools' / plugin}", f"--{kind}_out={BUILD}"]
        arguments += [f"--{kind}_opt=module={_MODULE}", f"--{kind}_opt=M{_CONTRACT}={_PACKAGE}"]
    return "protoc failed" if protoc.main([*arguments, _CONTRACT]) else ""


if __name__ == "__main__":
    print(binary())
