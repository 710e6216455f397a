"""Micro-benchmarks: parts of the request path alone, in nanoseconds for one operation."""
