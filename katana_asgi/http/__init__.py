"""Facts of RFC 9110 and RFC 9112, pure: no I/O, no state, no knowledge of any connection."""
