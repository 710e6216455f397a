"""Builds the wheel: pure Python, or with a compiled request path where the environment asks for it.

``KATANA_ASGI_COMPILE=1 pip install .`` compiles the modules that ``pyproject.toml`` lists, with
mypyc. All is made in a scratch directory: an extension module left beside its source would be
imported instead of what is being edited.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from contextlib import chdir
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "KATANA_ASGI_COMPILE"

MYPY_OPTIONS = ("--config-file=", "--follow-imports=silent", "--ignore-missing-imports")
"""The types are checked elsewhere; here the libraries that are imported need not be installed."""


class CompilingHook(BuildHookInterface[Any]):
    """Adds extension modules to a wheel; does nothing unless it is asked to."""

    @property
    def _wanted(self) -> bool:
        return os.environ.get(VARIABLE, "") not in ("", "0")

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        project = tomllib.loads(Path(self.root, "pyproject.toml").read_text(encoding="utf-8"))
        return project["dependency-groups"]["compile"] if self._wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the result included; an editable install stays as it is edited."""
        if not self._wanted or version == "editable":
            return
        self._scratch = tempfile.TemporaryDirectory(prefix="katana-asgi-build-")
        with chdir(self.root):  # so that tracebacks name modules by their path in the package
            built = compile_modules(self.config["modules"], Path(self._scratch.name))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update(built)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel by now."""
        if build_data["infer_tag"]:
            self._scratch.cleanup()


def compile_modules(modules: list[str], scratch: Path) -> dict[str, str]:
    """Compile source files; return the extension modules, each with its path in the wheel."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    extensions = mypycify(
        [*MYPY_OPTIONS, *modules],
        target_dir=str(scratch / "c"),
        group_name="katana_asgi",
        debug_level="0",
    )
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(scratch / "lib")
    command.build_temp = str(scratch / "objects")
    command.ensure_finalized()
    command.run()
    return {path: os.path.relpath(path, command.build_lib) for path in command.get_outputs()}
