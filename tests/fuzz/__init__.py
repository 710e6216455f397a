"""Any bytes at all, for everything that takes bytes of a stranger."""
