"""``manage.py runkatana [ADDRPORT] [OPTIONS]``: the options are those of ``katana-asgi``."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    handle_default_options,
)

from katana_asgi.django import application_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_match_place: Final = re.compile(r"(?:(\[[0-9a-fA-F:]+\]|[^:\s]+):)?(\d+)").fullmatch

STATIC: Final = "katana_asgi.django:with_static_files"


class Command(BaseCommand):  # type: ignore[misc] # it comes without types
    """Serves the project until it is stopped."""

    help = "Serve the project's ASGI application with katana-asgi."

    def add_arguments(self, parser: CommandParser) -> None:
        """An address as ``runserver`` has it."""
        parser.allow_abbrev = False
        parser.add_argument("addrport", nargs="?", help="Port, or ADDRESS:PORT.")
        parser.epilog = "All further options are those of katana-asgi: see katana-asgi --help."

    def run_from_argv(self, argv: list[str]) -> None:
        """Keep Django's options, and hand on the others."""
        parser = self.create_parser(argv[0], argv[1])
        words = argv[2:]
        place = words.pop(0) if words and not words[0].startswith("-") else ""
        # First, so that no value of an option that is ours passes for the address.
        options, further = parser.parse_known_args([place, *words])
        handle_default_options(options)
        try:
            self.execute(further=further, **vars(options))
        except CommandError as error:
            if options.traceback:
                raise
            self.stderr.write(f"{error.__class__.__name__}: {error}")
            sys.exit(error.returncode)

    def handle(self, *, addrport: str | None = None, **options: Any) -> None:
        """Become the server; never returns.

        It is a new program: this process has imported the project, so that no worker that it
        forked would notice changed code.
        """
        directories = [options.get("pythonpath"), os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(filter(None, directories))
        environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
        words = [*_application(), "--app-dir", os.path.abspath(sys.path[0] or ".")]
        words += [*_place(addrport), *options.get("further", ())]
        self.stdout.flush()
        command = [sys.executable, "-m", "katana_asgi", *words]
        os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted


def _application() -> Sequence[str]:
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        return [STATIC, "--factory"]
    return [application_name()]


def _place(addrport: str | None) -> Sequence[str]:
    if not addrport:
        return []
    match = _match_place(addrport)
    if match is None:
        raise CommandError(f"{addrport!r} is not a port or ADDRESS:PORT")
    host = [] if match[1] is None else ["--host", match[1].strip("[]")]
    return [*host, "--port", match[2]]
