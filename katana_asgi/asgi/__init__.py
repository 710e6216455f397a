"""The bridge: one exchange on a connection meets one call of the application."""
