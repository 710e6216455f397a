"""A directory as a page, where a mount asks for one."""

from __future__ import annotations

import html
import os
from typing import Final
from urllib.parse import quote

__all__ = ["render_listing"]

_MOST_ENTRIES: Final = 10_000
"""Entries on a page, against directories that would make a page of megabytes."""


def render_listing(
    segments: list[bytes], entries: list[tuple[str, bool]], *, dotfiles: bool
) -> bytes:
    """The page of a directory: folders first, by name, links relative to the page."""
    shown = [entry for entry in entries if dotfiles or not entry[0].startswith(".")]
    shown.sort(key=_folders_first)
    items = ['<li><a href="../">../</a></li>'] if segments else []
    for name, is_directory in shown[:_MOST_ENTRIES]:
        slash = "/" if is_directory else ""
        address = "./" + quote(os.fsencode(name), safe="") + slash
        text = name.encode("utf-8", "replace").decode("utf-8") + slash
        items.append(f'<li><a href="{address}">{html.escape(text)}</a></li>')
    place = b"/".join(segments).decode("utf-8", "replace")
    title = html.escape(f"/{place}")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1>\n<ul>\n" + "\n".join(items) + "\n</ul></body></html>\n"
    )
    return page.encode("utf-8")


def _folders_first(entry: tuple[str, bool]) -> tuple[bool, str]:
    return not entry[1], entry[0]
