"""Collapsed stacks as a flame graph: one SVG file that needs nothing else.

The root is at the top, width is time; each frame says its share when the pointer rests on it.
"""

from __future__ import annotations

import html
import re
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["collapsed", "flame_graph"]

WIDTH: Final = 1200
ROW: Final = 17
TOP: Final = 30
NARROWEST: Final = 0.3
"""Units below which a frame is left out: nobody could see it."""
CHARACTER: Final = 6.6
"""Width of a character of the font, to know how much of a name fits."""

_control: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class _Frame:
    """A function in its place: how often it was seen, and what it called."""

    __slots__ = ("callees", "count")

    def __init__(self) -> None:
        self.count = 0
        self.callees: dict[str, _Frame] = {}


def collapsed(stacks: Mapping[str, int]) -> str:
    """The text form that other flame graph programs read: a stack, a space and its count."""
    return "".join(f"{stack} {count}\n" for stack, count in sorted(stacks.items()))


def flame_graph(stacks: Mapping[str, int], title: str) -> str:
    """An SVG document; frames are sorted by name, so that two graphs can be compared."""
    root = _Frame()
    depth = 0
    for stack, count in stacks.items():
        names = stack.split(";")
        depth = max(depth, len(names))
        frame = root
        frame.count += count
        for name in names:
            frame = frame.callees.setdefault(name, _Frame())
            frame.count += count
    height = TOP + (depth + 1) * ROW + 8
    rows = "\n".join(_draw("all", root, 0, 0.0, WIDTH / max(root.count, 1), root.count))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">\n'
        "<style>g:hover rect{stroke:#000}</style>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="8" y="20" font-size="14">{_escape(title)}</text>\n{rows}\n</svg>\n'
    )


def _draw(
    name: str, frame: _Frame, level: int, left: float, scale: float, total: int
) -> Iterator[str]:
    width = frame.count * scale
    if width < NARROWEST:
        return
    top = TOP + level * ROW
    share = 100 * frame.count / max(total, 1)
    text = name[: max(0, int((width - 6) / CHARACTER))]
    label = f'<text x="{left + 3:.1f}" y="{top + 12}">{_escape(text)}</text>' if text else ""
    yield (
        f"<g><title>{_escape(name)}: {frame.count} samples, {share:.1f} %</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" '
        f'fill="{_colour(name)}"/>{label}</g>'
    )
    for callee, below in sorted(frame.callees.items()):
        yield from _draw(callee, below, level + 1, left, scale, total)
        left += below.count * scale


def _colour(name: str) -> str:
    """A warm colour that is always the same for one name."""
    number = zlib.crc32(name.encode("utf-8", "replace"))
    return f"hsl({number % 50},80%,{65 + number % 13}%)"


def _escape(text: str) -> str:
    return html.escape(_control.sub("?", text))
