"""Responses of the application, compressed where a setting asks for it and it is worth it."""
