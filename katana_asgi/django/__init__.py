"""A Django application for ``INSTALLED_APPS``: ``manage.py runkatana`` serves the project.

In development, with ``DEBUG``, static files are served as by ``runserver``. The modules here are
the only ones that know Django.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication

__all__ = ["application_name", "with_static_files"]


def application_name() -> str:
    """``module:attribute`` of the project's ASGI application.

    That is ``ASGI_APPLICATION`` of the settings, else ``application`` of the module ``asgi``
    beside the settings.
    """
    from django.conf import settings

    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        package = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
        name = f"{package}.asgi.application"
    module, _, attribute = str(name).rpartition(".")
    return f"{module}:{attribute}"


def with_static_files() -> ASGIApplication:
    """The project's application, and before it the static files of its applications."""
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    module, _, attribute = application_name().partition(":")
    handler: Any = ASGIStaticFilesHandler(getattr(import_module(module), attribute))
    application: ASGIApplication = handler
    return application
