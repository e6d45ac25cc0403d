"""Builds the Cython core and the protobuf classes.

The repository keeps `core/`, `service/`, `clients/python/` and `proto/` at its top; they are
imported as `batchwire.core`, `batchwire.service`, `batchwire.client` and `batchwire.v1`. setuptools and Python take
that from `package-dir` in pyproject.toml. Cython (`cimport`), mypy and editors find a module by the folders of its
name alone: for them this file lays `build/tree/batchwire/` out of links. It must never copy sources: an edit is live
at once.

With BATCHWIRE_DEBUG=1 it makes the debug build instead, under `build/debug/`, beside the release build: the same
sources, linked file by file so that what is compiled from them lies apart, with Cython's checks, asserts, and the
address and undefined behaviour sanitizers. `.ci/on_debug/run` runs a command on it.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
DEBUG = os.environ.get("BATCHWIRE_DEBUG") == "1"
BUILD = HERE / "build" / "debug" if DEBUG else HERE / "build"
TREE = BUILD / "tree"
ROOMS = {
    "core": "core",
    "service": "service",
    "demo": "demo",
    "client": "clients/python",
    "v1": "proto/batchwire/v1",
}
SOURCES = {".py", ".pyi", ".pyx", ".pxd", ".h", ".typed"}
# What is made of HTTP/2, which is nghttp2's.
OVER_NGHTTP2 = {
    f"front/{name}"
    for name in ("acceptor", "batch_rpc", "http2", "http2_callbacks", "http2_stream", "python_rpc", "rpc")
}
RELEASE_FLAGS = ["-O3"]
# NDEBUG comes from how Python itself was built. BATCHWIRE_FAULTS lets tests raise an exception in any callback.
SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
DEBUG_FLAGS = ["-O1", "-g1", "-UNDEBUG", "-DBATCHWIRE_FAULTS", *SANITIZERS]


def lay_out_tree() -> None:
    package = TREE / "batchwire"
    package.mkdir(parents=True, exist_ok=True)
    for name, folder in ROOMS.items():
        if DEBUG and name == "core":
            link_files(HERE / folder, package / name)
        else:
            link_to(HERE / folder, package / name)


def link_to(target: Path, link: Path) -> None:
    relative = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == relative:
        return
    if link.is_symlink():
        link.unlink()
    link.symlink_to(relative)


def link_files(folder: Path, room: Path) -> None:
    """A folder of links to each source file: what is compiled beside them is not beside the sources."""
    for source in folder.rglob("*"):
        if source.suffix in SOURCES:
            link = room / source.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link_to(source, link)
    for link in room.rglob("*"):
        if link.is_symlink() and not link.exists():
            link.unlink()


def generate_protobuf() -> None:
    source = HERE / "proto" / "batchwire" / "v1" / "batch.proto"
    made = source.with_name("batch_pb2.py")
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    proto = HERE / "proto"
    failed = protoc.main(
        [
            "protoc",
            f"-I{proto}",
            f"-I{well_known}",
            f"--python_out={proto}",
            f"--pyi_out={proto}",
            f"--grpc_python_out={proto}",
            str(source),
        ]
    )
    if failed:
        raise SystemExit("protoc could not compile proto/batchwire/v1/batch.proto")


def native_front_flags() -> tuple[list[str], list[str]] | None:
    """Compiler and linker flags of nghttp2; None: it is not there, and the native front is left out."""
    found = []
    for wanted in ("--cflags", "--libs"):
        try:
            asked = subprocess.run(
                ["pkg-config", wanted, "libnghttp2 >= 1.50"], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            print("libnghttp2 was not found by pkg-config: going on without the native front", file=sys.stderr)
            return None
        found.append(asked.stdout.split())
    return found[0], found[1]


def extensions() -> list[Extension]:
    flags = [*(DEBUG_FLAGS if DEBUG else RELEASE_FLAGS), "-fno-plt", "-Wno-unused-function", "-Wno-unused-variable"]
    if platform.machine() == "x86_64":
        flags.append("-msse4.2")
    found = []
    folder = TREE.relative_to(HERE) / "batchwire" / "core" if DEBUG else Path("core")
    nghttp2 = native_front_flags()
    for source in sorted((HERE / "core").rglob("*.pyx")):
        relative = source.relative_to(HERE / "core").with_suffix("")
        native = relative.as_posix() in OVER_NGHTTP2
        if native and nghttp2 is None:
            continue
        found.append(
            Extension(
                ".".join(["batchwire", "core", *relative.parts]),
                [str(folder / relative) + ".pyx"],
                depends=["setup.py"],  # its flags
                extra_compile_args=[*flags, *(nghttp2[0] if native else ())],
                extra_link_args=[*(SANITIZERS if DEBUG else ()), *(nghttp2[1] if native else ())],
            )
        )
    return found


class BuildModules(build_py):
    """build_lib outlives its sources, and all of it goes into a wheel: what is no longer there is taken out first."""

    def run(self) -> None:
        for file in Path(self.build_lib).rglob("*"):
            if file.is_file() and file.suffix != ".so":
                file.unlink()
        super().run()


class BuildCore(build_ext):
    """The same for compiled modules. Those of a wheel name no folder of the machine that they were built on."""

    def run(self) -> None:
        inplace, self.inplace = self.inplace, False
        made = {Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions}
        self.inplace = inplace
        for file in Path(self.build_lib).rglob("*.so"):
            if file not in made:
                file.unlink()
        super().run()

    def build_extensions(self) -> None:
        # A Python outside the system's folders links with a path to its own library, which no extension needs.
        self.compiler.linker_so = [word for word in self.compiler.linker_so if not word.startswith("-Wl,-rpath")]
        super().build_extensions()


# The Makefile compiles the core in its folders by itself; an editable install would do it once more and throw it away.
# What only describes the project compiles nothing.
COMPILE = os.environ.get("BATCHWIRE_COMPILE") != "0" and not {"sdist", "egg_info", "dist_info"} & set(sys.argv)
OPTIONS: dict[str, object] = {"parallel": os.cpu_count() or 1}
if DEBUG:
    OPTIONS |= {"build_lib": str(TREE), "build_temp": str(BUILD / "temp")}

os.chdir(HERE)
lay_out_tree()
generate_protobuf()
setup(
    cmdclass={"build_py": BuildModules, "build_ext": BuildCore},
    options={"build_ext": OPTIONS, "egg_info": {"egg_base": "build"}},
    ext_modules=cythonize(
        extensions() if COMPILE else [],
        include_path=[str(TREE)],
        annotate=bool(os.environ.get("BATCHWIRE_ANNOTATE")),
        nthreads=os.cpu_count() or 1,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            # An attribute of None raises in place of ending the process; that costs nothing that shows.
            "nonecheck": True,
            "auto_pickle": False,
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
    ),
)
