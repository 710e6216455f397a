"""Stands in for uvicorn: the modules of ``katana_asgi.uvicorn`` by uvicorn's names.

Modules that katana-asgi does not have come from uvicorn itself where it is installed.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

NAME: Final = "uvicorn"
OURS: Final = "katana_asgi.uvicorn"
MODULES: Final = ("config", "importer", "logging", "main", "server", "supervisors")

_ours = importlib.import_module(OURS)
for _name in MODULES:
    sys.modules[f"{NAME}.{_name}"] = importlib.import_module(f"{OURS}.{_name}")
_here = Path(__file__).parent
for _place in map(Path, sys.path):
    if (_place / NAME / "__init__.py").is_file() and (_place / NAME).resolve() != _here.resolve():
        _ours.__path__.append(str(_place / NAME))
        # Such as uvicorn.supervisors.multiprocess, of a module that is one file here.
        sys.modules[f"{NAME}.supervisors"].__path__ = [str(_place / NAME / "supervisors")]
        break
sys.modules[NAME] = _ours
