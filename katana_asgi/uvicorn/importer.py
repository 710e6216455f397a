"""Import an object by its name, ``module:attribute``."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["ImportFromStringError", "import_from_string"]


class ImportFromStringError(Exception):
    """The name does not lead to an object."""


def import_from_string(import_str: Any) -> Any:
    """The object that ``module:attribute`` names; anything but text is returned as it is."""
    if not isinstance(import_str, str):
        return import_str
    module_name, _, attributes = import_str.partition(":")
    if not module_name or not attributes:
        raise ImportFromStringError(f'Import string "{import_str}" must be "<module>:<attribute>".')
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ImportFromStringError(f'Could not import module "{module_name}".') from None
    for attribute in attributes.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise ImportFromStringError(
                f'Attribute "{attributes}" not found in module "{module_name}".'
            ) from None
    return value
