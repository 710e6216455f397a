"""The admin listener: what a running server says of itself."""
