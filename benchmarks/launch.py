"""Starts the peers whose own command line cannot say what the suite needs.

fastpysgi has workers and TCP_NODELAY only from code, freastal has no command line at all.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any


def fastpysgi(app: Any, port: int, workers: int) -> None:
    """Serve with fastpysgi: Nagle's algorithm off and no limit on content, as its peers do."""
    module = importlib.import_module("fastpysgi")
    module.server.tcp_nodelay = 1
    module.server.max_content_length = 64 * 1024 * 1024
    module.run(app, host="127.0.0.1", port=port, workers=workers)


def freastal(app: Any, port: int, workers: int) -> None:
    """Serve with freastal as its documentation shows."""
    module = importlib.import_module("freastal")
    module.serve_asgi(app, host="127.0.0.1", port=port, workers=workers)


LAUNCHERS = {"fastpysgi": fastpysgi, "freastal": freastal}


def main() -> None:
    """Import the application and hand it to the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=sorted(LAUNCHERS))
    parser.add_argument("app", help="MODULE:ATTRIBUTE")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    module, _, attribute = arguments.app.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    LAUNCHERS[arguments.server](app, arguments.port, arguments.workers)


if __name__ == "__main__":
    main()
