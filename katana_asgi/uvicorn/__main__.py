"""``python -m uvicorn`` under ``katana-asgi exec``."""

from katana_asgi.uvicorn.main import main

if __name__ == "__main__":
    main()
