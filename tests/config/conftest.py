"""Fixtures of the tests of settings."""

from tests.config.clean_place import place

__all__ = ["place"]
