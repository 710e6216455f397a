"""From ``module:attribute`` to the application (setting ``app``, ``factory``, ``app_dir``)."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from katana_asgi.asgi.adapters import adapt
from katana_asgi.asgi.wrapping import wrap
from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from types import TracebackType

    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.config.model import Config

__all__ = ["ApplicationImportError", "load_application"]


class ApplicationImportError(StartupError):
    """The application's module, or its factory, raised; the cause holds its own traceback."""


def load_application(config: Config) -> ASGIApplication:
    """Import, make and adapt the application.

    Raises ``StartupError`` where module or attribute do not exist, ``ApplicationImportError``
    where the application's own code raised.
    """
    application: Any = config.app
    if isinstance(application, str):
        application = _import(application, config.app_dir)
    if config.factory:
        try:
            application = application()
        except Exception as error:
            raise _wrap(f"the factory {config.app!r} raised", error) from error
    if not callable(application):
        raise StartupError(f"the application {config.app!r} is not callable")
    return wrap(adapt(application, config.interface), config)


def _import(name: str, app_dir: str) -> Any:
    directory = os.path.abspath(app_dir or ".")
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module_name, _, attributes = name.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise StartupError(
                f"could not import module {module_name!r} (import path starts at {directory})"
            ) from None
        raise _wrap(f"module {module_name!r} could not be imported", error) from error
    except KeyboardInterrupt:  # somebody does not want to wait for the end of the import
        raise
    except BaseException as error:
        raise _wrap(f"module {module_name!r} could not be imported", error) from error
    for attribute in attributes.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise StartupError(
                f"attribute {attribute!r} not found in {module_name!r} (asked for {name!r})"
            ) from None
    return value


def _wrap(message: str, error: BaseException) -> ApplicationImportError:
    """Keep the user's frames of the traceback, without ours and importlib's above them."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and _is_machinery(traceback):
        traceback = traceback.tb_next
    error.__traceback__ = traceback or error.__traceback__
    return ApplicationImportError(message)


def _is_machinery(traceback: TracebackType) -> bool:
    filename = traceback.tb_frame.f_code.co_filename
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")
