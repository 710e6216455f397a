"""From ``module:attribute`` to the application (setting ``app``, ``factory``, ``app_dir``)."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from katana_asgi.asgi.adapters import adapt
from katana_asgi.asgi.wrapping import wrap
from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from types import TracebackType

    from katana_asgi.asgi.answers import Answers
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.config.model import Config

__all__ = [
    "ApplicationImportError",
    "find_application",
    "import_reference",
    "is_factory",
    "load_application",
]

logger = logging.getLogger("katana_asgi.error")


class ApplicationImportError(StartupError):
    """The application's module, or its factory, raised; the cause holds its own traceback."""


def load_application(config: Config, answers: Answers | None = None) -> ASGIApplication:
    """Import, make and adapt the application.

    Raises ``StartupError`` where module or attribute do not exist, ``ApplicationImportError``
    where the application's own code raised.
    """
    return wrap(adapt(find_application(config), config.interface), config, answers)


def find_application(config: Config) -> Any:
    """Import and make the application, as it is; raises as ``load_application`` does."""
    application: Any = config.app
    if isinstance(application, str):
        application = import_reference(application, config.app_dir)
    if not config.factory and is_factory(application):
        logger.warning(
            "%s is a factory and was called; add --factory to say so", config.application_name
        )
    elif not config.factory:
        return _callable(application, config)
    try:
        made = application()
    except Exception as error:
        raise _wrap(f"the factory {config.app!r} raised", error) from error
    return _callable(made, config)


def _callable(application: Any, config: Config) -> Any:
    if not callable(application):
        raise StartupError(f"the application {config.app!r} is not callable")
    return application


def is_factory(application: Any) -> bool:
    """Whether ``application`` makes one: it can be called without arguments, and no ASGI or WSGI
    application can, as each of its parameters is needed.
    """
    if inspect.iscoroutinefunction(application) or not callable(application):
        return False
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):  # of something built in
        return False
    return all(
        each.default is not each.empty or each.kind is each.VAR_KEYWORD for each in parameters
    )


def import_reference(name: str, app_dir: str) -> Any:
    """What ``module:attribute`` names; ``app_dir`` is put on the import path.

    Raises as ``load_application`` does.
    """
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
    """Keep the user's frames of the traceback, without ours and importlib's above them.

    Of a module that cannot be compiled there are none, and the error says where it is.
    """
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and _is_machinery(traceback):
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    return ApplicationImportError(message)


def _is_machinery(traceback: TracebackType) -> bool:
    filename = traceback.tb_frame.f_code.co_filename
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")
