"""HTTP/2 (RFC 9113): frames, streams and flow control beside ``http1``, on the same exchanges."""
