"""Fixtures of the tests of the command line."""

from tests.config.clean_place import place

__all__ = ["place"]
