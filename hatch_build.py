"""Builds the C functions of ``katana_asgi.codec`` where a C compiler and Python's headers are.

Elsewhere the build goes on without them: all works, only slower. ``KATANA_ASGI_NATIVE=0`` in the
environment leaves them out, ``KATANA_ASGI_NATIVE=1`` makes it an error if they cannot be built.
An editable install has them beside their sources, and so has ``python hatch_build.py``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "KATANA_ASGI_NATIVE"
MODULE = "katana_asgi.codec._native"
SOURCES = "katana_asgi/codec/*.c"


class CannotBuild(Exception):
    """There is no compiler, no header, or another interpreter than CPython."""


class NativeHook(BuildHookInterface[Any]):
    """Adds the extension module to a wheel, or to the tree of an editable install."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        return [] if os.environ.get(VARIABLE) == "0" else ["setuptools>=65"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the result included."""
        wanted = os.environ.get(VARIABLE, "")
        if wanted == "0":
            return
        self._scratch = tempfile.TemporaryDirectory(prefix="katana-asgi-build-")
        try:
            built, path = build_native(Path(self.root), Path(self._scratch.name))
        except CannotBuild as error:
            if wanted == "1":
                raise
            self.app.display_warning(f"katana-asgi is built without its C functions: {error}")
            return
        if version == "editable":
            shutil.copy2(built, Path(self.root, path))
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(built)] = path

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel by now."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def build_native(root: Path, scratch: Path) -> tuple[Path, str]:
    """Compile the module; return where it is now, and its path in the wheel.

    Raises ``CannotBuild``.
    """
    if sys.implementation.name != "cpython":
        raise CannotBuild(f"they are for CPython, not for {sys.implementation.name}")
    try:
        from setuptools import Distribution, Extension
        from setuptools.errors import BaseError, CCompilerError
    except ImportError as error:
        raise CannotBuild(str(error)) from error

    with chdir(root):
        sources = sorted(path.as_posix() for path in Path().glob(SOURCES))
        command = Distribution({"ext_modules": [Extension(MODULE, sources)]}).get_command_obj(
            "build_ext"
        )
        command.build_lib = str(scratch / "lib")
        command.build_temp = str(scratch / "objects")
        try:
            command.ensure_finalized()
            command.run()
        except (BaseError, CCompilerError, OSError) as error:
            raise CannotBuild(str(error)) from error
        (output,) = command.get_outputs()
    return Path(output), Path(output).relative_to(scratch / "lib").as_posix()


def main() -> None:
    """Build the module beside its sources."""
    with tempfile.TemporaryDirectory(prefix="katana-asgi-build-") as scratch:
        built, path = build_native(Path.cwd(), Path(scratch))
        shutil.copy2(built, path)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
