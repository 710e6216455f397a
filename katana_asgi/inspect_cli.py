"""The commands that look into a running service: ``status``, ``top``, ``profile`` and ``dump``.

The first two read the admin listener. The others reach each worker through its control socket
(``observe/control.py``) and need no restart.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from katana_asgi.config.model import SETTINGS
from katana_asgi.errors import ConfigurationError
from katana_asgi.observe.control import (
    ControlError,
    ask,
    command_of,
    control_directory,
    find_workers,
)
from katana_asgi.observe.flame_graph import collapsed, flame_graph

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS"]

PATIENCE: Final = 3.0
"""Seconds after which a worker that does not answer counts as blocked."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--control-dir",
            default="auto",
            envvar="KATANA_CONTROL_DIR",
            metavar="DIR",
            help="Directory of the control sockets, as in the settings of the service.",
        ),
        click.option(
            "--pid",
            type=click.IntRange(min=1),
            help="Process id of a worker, or of the supervisor for all its workers; "
            "not needed where one service runs.",
        ),
    ):
        command = option(command)
    return command


def _workers(control_dir: str, pid: int | None) -> dict[int, Path]:
    try:
        directory = control_directory(control_dir)
        if directory is None:
            raise ConfigurationError("there are no control sockets with control-dir off")
        return find_workers(directory, pid)
    except (ControlError, OSError) as error:
        raise click.ClickException(str(error)) from None


@click.command("profile")
@_shared
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="How long to sample.",
)
@click.option(
    "--rate",
    default=100.0,
    show_default=True,
    type=click.FloatRange(1, 1000),
    help="Samples per second.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .svg is a flame graph, .txt collapsed stacks.",
)
def profile(control_dir: str, pid: int | None, seconds: float, rate: float, output: Path) -> None:
    """Sample the Python stacks of running workers, together.

    A worker whose event loop is blocked is sampled by py-spy, where that is installed and
    permitted.
    """
    if output.suffix not in (".svg", ".txt"):
        raise ConfigurationError(f"-o {output}: allowed are names that end in .svg or .txt")
    workers = _workers(control_dir, pid)
    with ThreadPoolExecutor(len(workers)) as pool:
        profiles = [
            (worker, pool.submit(_profile, worker, path, seconds, rate))
            for worker, path in workers.items()
        ]
    stacks: dict[str, int] = {}
    for worker, future in profiles:
        try:
            taken = future.result()
        except ControlError as error:
            raise click.ClickException(str(error)) from None
        for stack, seen in taken.items():
            stacks[f"worker {worker};{stack}"] = int(seen)
    total = sum(stacks.values())
    count = len(workers)
    whose = command_of(next(iter(workers)))
    title = f"{count} worker{'s' if count > 1 else ''}, {seconds:g} s, {total} samples: {whose}"
    text = flame_graph(stacks, title) if output.suffix == ".svg" else collapsed(stacks)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    click.echo(f"{output}: {title}")


def _profile(worker: int, path: Path, seconds: float, rate: float) -> dict[str, Any]:
    request = {"type": "profile", "seconds": seconds, "rate": rate}
    try:
        stacks: dict[str, Any] = ask(path, request, patience=PATIENCE, duration=seconds)["stacks"]
    except ControlError as error:
        program = shutil.which("py-spy")
        if not error.blocked or program is None:
            raise
        return _py_spy(program, worker, seconds, rate)
    return stacks


def _py_spy(program: str, worker: int, seconds: float, rate: float) -> dict[str, Any]:
    numbers = ["--duration", str(max(1, round(seconds))), "--rate", str(round(rate))]
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "stacks")
        command = [program, "record", "--pid", str(worker), *numbers, "--format", "raw"]
        result = subprocess.run(  # noqa: S603 - no shell
            [*command, "-o", str(output)], capture_output=True, text=True
        )
        if result.returncode:
            reason = result.stderr.strip()[-300:]
            raise ControlError(f"worker {worker} is blocked, and py-spy failed: {reason}")
        lines = [line.rpartition(" ") for line in output.read_text("utf-8").splitlines()]
    return {stack: int(count) for stack, _, count in lines if count.isdigit()}


@click.command("dump")
@_shared
def dump(control_dir: str, pid: int | None) -> None:
    """Print the stacks of all threads and asyncio tasks of running workers.

    A worker whose event loop is blocked writes them to its own error output instead.
    """
    for worker, path in _workers(control_dir, pid).items():
        click.echo(f"Worker {worker} ({command_of(worker)})")
        try:
            click.echo(ask(path, {"type": "dump"}, patience=PATIENCE)["text"])
        except ControlError as error:
            if not error.blocked:
                raise click.ClickException(str(error)) from None
            os.kill(worker, signal.SIGURG)
            click.echo(
                "Its event loop is blocked: it writes its stacks to its own error output (SIGURG)"
            )


def _of_admin(command: Callable[..., int]) -> Callable[..., int]:
    for option in (
        click.option(
            "--token",
            default="",
            envvar=SETTINGS["admin_token"].variable,
            show_envvar=True,
            help="The token of the admin listener.",
        ),
        click.option(
            "--admin",
            default="",
            envvar=SETTINGS["admin_bind"].variable,
            show_envvar=True,
            metavar="ADDRESS",
            help="The admin listener, as --admin-bind names it.",
        ),
    ):
        command = option(command)
    return command


@click.command("status")
@_of_admin
@click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")
def status(admin: str, token: str, as_json: bool) -> int:
    """Show what a running server does, from its admin listener."""
    from katana_asgi.admin.client import AdminClient, Unreachable
    from katana_asgi.admin.commands import summary

    try:
        found = AdminClient(admin, token).status()
    except Unreachable as error:
        return _unreachable(error)
    click.echo(json.dumps(found, indent=2) if as_json else summary(found))
    return 0


@click.command("top")
@_of_admin
def top(admin: str, token: str) -> int:
    """Show what a running server does, once a second; q quits. Needs the top extra."""
    from katana_asgi.admin.client import AdminClient, Unreachable

    client = AdminClient(admin, token)
    try:
        from katana_asgi.admin.top import run_top
    except ImportError as error:
        raise ConfigurationError(
            f"top needs {error.name}; use pip install 'katana-asgi[top]'"
        ) from None
    try:
        run_top(client)
    except Unreachable as error:
        return _unreachable(error)
    except KeyboardInterrupt:
        pass
    return 0


def _unreachable(error: Exception) -> int:
    click.echo(f"katana-asgi: error: {error}", err=True)
    return 1


COMMANDS: Final = {"status": status, "top": top, "profile": profile, "dump": dump}
"""By their names on the command line."""
