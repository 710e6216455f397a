"""The settings of what a developer looks at: reload, slow requests, spans, the control socket.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.checks import check_directory
from katana_asgi.config.setting import setting

__all__ = ["InspectionSettings", "ReloadSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class InspectionSettings:
    """Inspection."""

    theme = "Inspection"

    control_dir: str = setting(
        "auto",
        "text",
        "Private directory for the sockets of profile and dump; auto uses one per user, off opens "
        "none.",
        metavar="auto|off|DIR",
    )
    slow_request: float = setting(
        0.0,
        "duration",
        "Log requests that take longer, and the stack of an event loop that is blocked for "
        "longer; 0 is off.",
        minimum=0,
    )
    otel: bool = setting(
        False,
        "boolean",
        "Create an OpenTelemetry server span for each request; needs the otel extra.",
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ReloadSettings:
    """Reload."""

    theme = "Reload"

    reload: bool = setting(
        False,
        "boolean",
        "Restart the application when files change, for development. With the reload extra, "
        "changes are noticed sooner.",
    )
    reload_delay: float = setting(
        0.25,
        "duration",
        "Polling interval for file changes without the reload extra.",
        minimum=0.01,
    )
    reload_dir: tuple[str, ...] = setting(
        (),
        "list",
        "Directories to watch; the current directory by default.",
        metavar="DIR,...",
        check=check_directory,
    )
    reload_include: tuple[str, ...] = setting(
        ("*.py",),
        "list",
        "File name patterns to watch, in addition to *.py.",
        metavar="PATTERN,...",
    )
    reload_exclude: tuple[str, ...] = setting(
        (".*", ".py[cod]", ".sw.*", "~*"),
        "list",
        "Name patterns of files and directories to ignore, in addition to the default ones.",
        metavar="PATTERN,...",
    )
