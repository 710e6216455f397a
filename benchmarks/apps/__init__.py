"""The applications that every server is measured with: the same file for all of them."""
