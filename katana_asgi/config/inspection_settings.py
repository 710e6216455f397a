"""The settings of what a developer looks at: reload, slow requests, spans, the control socket.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.checks import check_directory
from katana_asgi.config.setting import setting

__all__ = ["InspectionSettings", "ReloadSettings"]


@dataclass(frozen=True, kw_only=True)
class InspectionSettings:
    """Inspection."""

    theme = "Inspection"

    control_dir: str = setting(
        "auto",
        "text",
        "Private directory for the sockets that profile and dump use; auto is one of the "
        "user's own, off opens none.",
        metavar="auto|off|DIR",
    )
    slow_request: float = setting(
        0.0,
        "duration",
        "Log requests that take longer, and the stack of an event loop blocked for longer; 0 is "
        "off.",
        minimum=0,
    )
    otel: bool = setting(
        False,
        "boolean",
        "Make an OpenTelemetry server span for each request; needs the otel extra.",
    )


@dataclass(frozen=True, kw_only=True)
class ReloadSettings:
    """Reload."""

    theme = "Reload"

    reload: bool = setting(
        False,
        "boolean",
        "Restart the application when files change; for development. The reload extra notices "
        "changes sooner.",
    )
    reload_delay: float = setting(
        0.25,
        "duration",
        "Time between two polls of the files, where the reload extra is not installed.",
        minimum=0.01,
    )
    reload_dir: tuple[str, ...] = setting(
        (),
        "list",
        "Directories to watch; by default the current one.",
        metavar="DIR,...",
        check=check_directory,
    )
    reload_include: tuple[str, ...] = setting(
        ("*.py",), "list", "File names that count, as patterns.", metavar="PATTERN,..."
    )
    reload_exclude: tuple[str, ...] = setting(
        (".*", ".py[cod]", ".sw.*", "~*"),
        "list",
        "Names of files and directories that do not count, as patterns.",
        metavar="PATTERN,...",
    )
