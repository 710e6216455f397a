"""Everything that knows a descriptor or the time."""
