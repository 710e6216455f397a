"""The settings of files that are served without the application.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.setting import setting
from katana_asgi.config.static_files import StaticFiles, check_static_files

__all__ = ["FilesSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class FilesSettings:
    """Static files"""

    theme = "Static files"

    static_dir: tuple[StaticFiles, ...] = setting(
        (),
        "static-dir",
        "Serve the files of DIRECTORY below PATH, without the application; repeatable. "
        "In a file, a table [static-dirs] with more settings for each.",
        keys=("static-dirs",),
        metavar="PATH=DIRECTORY",
        check=check_static_files,
    )
