"""Even load over workers: what they know of each other, and how a connection gets to another."""
