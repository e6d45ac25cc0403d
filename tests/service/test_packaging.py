"""What the Makefile and setup.py promise of a fresh checkout, and of the archives that are made of it."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from harness import config
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream
from packaging.requirements import Requirement
from packaging.version import Version

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))

# The wheel takes some 20 s of CPU time, on machines with other work much longer.
pytestmark = pytest.mark.timeout(600)


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
    named = set(PROJECT["tool"]["setuptools"]["packages"])
    rooms = {
        "core": TOP / "core",
        "service": TOP / "service",
        "demo": TOP / "demo",
        "client": TOP / "clients" / "python",
    }
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
    assert "batchwire.core.session.session" in without
    assert "batchwire.core.front.http1" in without
    pretending = tmp_path / "pkg-config"
    pretending.write_text("#!/bin/sh\necho -lnghttp2\n")
    pretending.chmod(0o755)
    whole = names(f"{tmp_path}:/bin:/usr/bin")
    assert "batchwire.core.front.http2" in whole
    gone = {name.rpartition(".")[2] for name in set(whole) - set(without)}
    assert gone == {"acceptor", "batch_rpc", "http2", "http2_callbacks", "http2_stream", "python_rpc", "rpc"}
    assert set(without) < set(whole)
    assert missing == [True, False]


def generated_with(module: str, pattern: str) -> Version:
    [found] = re.findall(pattern, (TOP / "proto" / "batchwire" / "v1" / module).read_text("utf-8"), re.MULTILINE)
    return Version(found)


def test_what_is_generated_runs_with_the_oldest_dependencies() -> None:
    """Generated code refuses to run with a runtime older than its generator: metadata must not allow one."""
    floors = {needed.name: str(needed.specifier) for needed in requirements("batchwire")}
    assert floors["protobuf"] == f">={generated_with('batch_pb2.py', r'^# Protobuf Python Version: (.*)$')}"
    grpc = generated_with("batch_pb2_grpc.py", r"^GRPC_GENERATED_VERSION = '(.*)'$")
    assert floors["grpcio"] == f">={grpc}"
    assert f"grpcio-tools=={grpc}" in PROJECT["build-system"]["requires"]


def make(target: str, to: Path) -> Path:
    """The archive that a target of the Makefile leaves in a folder."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "BATCHWIRE_"))}
    made = subprocess.run(["make", target, f"DIST={to}"], cwd=TOP, env=plain, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    [archive] = to.iterdir()
    return archive


def test_the_source_archive_is_the_checkout(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=TOP, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    with tarfile.open(make("sdist", tmp_path)) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {"PKG-INFO", "setup.cfg", "build/batchwire.egg-info/SOURCES.txt"}
    assert found - made == {file for file in listed.stdout.split("\n") if (TOP / file).is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is compiled already is taken as it is."""
    return make("wheel", tmp_path_factory.mktemp("wheel"))


def requirements(name: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """What a distribution says that it needs here."""
    asked = [Requirement(line) for line in distribution(name).requires or ()]
    return [
        needed
        for needed in asked
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def link_dependencies(site: Path) -> None:
    """Into an environment: links to the installed dependencies of batchwire, and to nothing else that is installed."""
    waiting = requirements("batchwire")
    done = set()
    while waiting:
        needed = waiting.pop()
        key = (needed.name, frozenset(needed.extras))
        if key in done:
            continue
        done.add(key)
        waiting += requirements(*key)
        for file in distribution(needed.name).files or ():
            link = site / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution(needed.name).locate_file(file.parts[0]))))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment that has the wheel and what its metadata ask for, and knows nothing of this checkout."""
    room = tmp_path_factory.mktemp("environment")
    venv.create(room, symlinks=True)
    python = room / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    link_dependencies(next(room.glob("lib/python*/site-packages")))
    checked = subprocess.run([*pip, "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    return room / "bin"


def test_a_wheel_holds_what_it_is_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        modules = [ELFFile(io.BytesIO(archive.read(name))) for name in names if name.endswith(".so")]
    assert {name.partition("/")[0] for name in names} <= {"batchwire", "batchwire.libs", "batchwire-0.1.0.dist-info"}
    assert not [name for name in names if name.endswith((".pyx", ".c", ".proto"))]
    assert {"batchwire/service/py.typed", "batchwire/v1/batch_pb2.py"} <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert "linux_x86_64" not in wheel.name.split("-")[-1].split(".")
    for module in modules:
        assert module.get_section_by_name(".symtab") is None, "not stripped"
        for tag in module.get_section_by_name(".dynamic").iter_tags():
            if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
                assert getattr(tag, tag.entry.d_tag[3:].lower()).startswith("$ORIGIN"), "a folder of this machine"


def test_a_batch_goes_through_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "BATCHWIRE_"))}
    batch = tmp_path / "batch.json"
    batch.write_text('{"requests":[{"id":"a","method":"get","url":"A"},{"id":"b","method":"get","url":"B"}]}')
    with ScriptedUpstream() as upstream:
        upstream.on("GET", "/A")
        gateway = Gateway(
            config.make({"it": {"url": upstream.origin + "/"}}, [{"root": "/", "upstream": "it"}]), tmp_path
        )
        gateway.program = installed / "batchwire"
        with gateway:
            for way in (["--grpc", gateway.grpc_address], ["--http", f"http://{gateway.http_address}/$batch"]):
                called = subprocess.run(
                    [str(installed / "batchwire"), "call", str(batch), *way],
                    cwd=tmp_path, env=clean, capture_output=True, text=True,
                )  # fmt: skip
                answers = {answer["id"]: answer["status"] for answer in json.loads(called.stdout)["responses"]}
                assert answers == {"a": 200, "b": 404}, called.stderr
            loaded = set(re.findall(r"/.*", Path(f"/proc/{gateway.process.pid}/maps").read_text()))
    assert [file for file in loaded if "/batchwire/core/session/session." in file]
    assert not [file for file in loaded if file.startswith(f"{TOP}/") and not file.startswith(f"{sys.prefix}/")]
    if not subprocess.run(["pkg-config", "--exists", "libnghttp2 >= 1.50"]).returncode:
        [library] = [file for file in loaded if "nghttp2" in file.rpartition("/")[2]]
        assert "/batchwire.libs/" in library


def test_an_installed_wheel_has_batchwire_alone(installed: Path, tmp_path: Path) -> None:
    asked = (
        "import batchwire.client, batchwire.core, batchwire.service, batchwire.v1, importlib.util, sys;"
        "print([importlib.util.find_spec(name) for name in ('core', 'service', 'client', 'v1')]);"
        "print(batchwire.core.__file__)"
    )
    said = subprocess.run(
        [str(installed / "python"), "-I", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[0] == "[None, None, None, None]"
    assert said[1].startswith(str(installed.parent))
