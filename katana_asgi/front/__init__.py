"""What ``katana-asgi exec`` puts at the front of the import path: a package named uvicorn."""
