"""``python -m katana_asgi`` is the command ``katana-asgi``."""

from katana_asgi.cli import main

if __name__ == "__main__":
    main()
