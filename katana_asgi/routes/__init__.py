"""Answers that need no application: static routes, rendered ahead and served from bytes."""
