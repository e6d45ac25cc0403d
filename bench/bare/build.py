"""Builds the bare client into build/bench and imports it from there. It must never touch build/tree."""

import importlib
import sys
from types import ModuleType

from ..processes import ROOT

SOURCE = ROOT / "bench" / "bare" / "client.pyx"
BUILD = ROOT / "build" / "bench"
NAME = "bench_bare_client"


def load() -> ModuleType:
    """The compiled client, built first when its source is newer. Needs Cython and a C compiler."""
    made = sorted(BUILD.glob(f"{NAME}.*.so"))
    if not made or made[0].stat().st_mtime < SOURCE.stat().st_mtime:
        _build()
    sys.path.insert(0, str(BUILD))
    return importlib.import_module(NAME)


def _build() -> None:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension  # type: ignore[import-untyped]
    from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]

    BUILD.mkdir(parents=True, exist_ok=True)
    # The module is named for where it is built, not for the package its source lies in.
    copy = BUILD / f"{NAME}.pyx"
    copy.write_text(SOURCE.read_text())
    extension = Extension(NAME, [str(copy)], extra_compile_args=["-O3"])
    modules = cythonize([extension], quiet=True)  # type: ignore[no-untyped-call]
    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib, command.build_temp = str(BUILD), str(BUILD / "temp")
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    load()
