"""``Litestar(plugins=[KatanaPlugin()])``: ``litestar run`` serves with katana-asgi.

The options stay Litestar's. The one module that knows Litestar.
"""

from __future__ import annotations

import copy
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
from litestar.cli._utils import create_ssl_files, validate_ssl_file_paths
from litestar.plugins import CLIPlugin

import katana_asgi
from katana_asgi.config.directory import forget_modules
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from click import Group

__all__ = ["KatanaPlugin"]


class KatanaPlugin(CLIPlugin):
    """Puts katana-asgi in the place of uvicorn under ``litestar run``.

    ``settings`` are settings of katana-asgi that Litestar has no option for; options of the
    command line take precedence.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def on_cli_init(self, cli: Group) -> None:
        """Replace the command ``run`` by one with the same options."""
        run = copy.copy(cli.commands["run"])
        run.callback = self._run
        run.help = "Serve the application with katana-asgi."
        cli.add_command(run)

    def _run(self, **options: Any) -> None:
        environment = click.get_current_context().obj
        environment = environment() if callable(environment) else environment
        for name, attribute in (("debug", "debug"), ("pdb", "pdb_on_exception")):
            if options[name]:
                os.environ[f"LITESTAR_{name.upper()}"] = "1"  # for workers that import it anew
                setattr(environment.app, attribute, True)
        with ExitStack() as stack:
            for plugin in environment.app.plugins.cli:
                if isinstance(plugin, CLIPlugin):
                    stack.enter_context(plugin.server_lifespan(environment.app))
            settings = {**self.settings, **_settings(options)}
            if settings["reload"] or settings["workers"] > 1:
                forget_modules(str(environment.cwd))  # each worker imports what is there then
            try:
                katana_asgi.run(
                    environment.app_path,
                    app_dir=str(environment.cwd),
                    factory=environment.is_app_factory,
                    **settings,
                )
            except ConfigurationError as error:
                raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Our settings for Litestar's options."""
    files = create_ssl_files if options["create_self_signed_cert"] else validate_ssl_file_paths
    certificate = (options["ssl_certfile"], options["ssl_keyfile"])
    made = (
        files(*certificate, options["host"]) if files is create_ssl_files else files(*certificate)
    )
    watched = {name: options[name] for name in ("reload_dir", "reload_include", "reload_exclude")}
    place = {name: options[name] for name in ("uds", "fd") if options[name] is not None}
    settings = {
        **(place or {"host": options["host"], "port": options["port"]}),
        **{name: list(value) for name, value in watched.items() if value},
        "reload": options["reload"] or any(watched.values()),
        "workers": options["wc"],
        "ssl_certfile": made[0],
        "ssl_keyfile": made[1],
    }
    return {name: value for name, value in settings.items() if value is not None}
