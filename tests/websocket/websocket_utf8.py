"""Byte strings that are and are not UTF-8 (RFC 3629), by the groups of Autobahn 6.5 to 6.23.

The groups go back to Markus Kuhn's decoder stress test.
"""

from __future__ import annotations

KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")
"""Characters of 2, 3, 2, 2 and 2 bytes."""


def hexes(*strings: str) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, strings))


def lonely(first: int, last: int) -> bytes:
    """Each start byte in the range, followed by a space."""
    return b"".join(bytes([start, 0x20]) for start in range(first, last + 1))


def nonpairs() -> tuple[bytes, ...]:
    """High surrogates before low ones, each encoded by itself."""
    highs = hexes("eda080", "edadbf", "edae80", "edafbf")
    lows = hexes("edb080", "edbfbf")
    return tuple(high + low for high in highs for low in lows)


def noncharacters() -> tuple[bytes, ...]:
    """U+FFFE, U+FFFF and the last two code points of every further plane."""
    planes = range(0x11)
    return tuple(chr(plane << 16 | last).encode() for plane in planes for last in (0xFFFE, 0xFFFF))


_MISSING_LAST = hexes(
    "c0",
    "e080",
    "f08080",
    "f8808080",
    "fc80808080",
    "df",
    "efbf",
    "f7bfbf",
    "fbbfbfbf",
    "fdbfbfbfbf",
)

VALID: dict[str, tuple[bytes, ...]] = {
    "6.5 some text": (
        b"hello$world",
        "hello¢world".encode(),
        "hello€world".encode(),
        "hello\U00024b62world".encode(),
        KOSME,
    ),
    "6.6 prefixes that end with a character": tuple(KOSME[:end] for end in (2, 5, 7, 9, 11)),
    "6.7 first of each length": hexes("00", "c280", "e0a080", "f0908080"),
    "6.9 last of each length": hexes("7f", "dfbf", "efbfbf", "f48fbfbf"),
    "6.11 boundaries": hexes("ed9fbf", "ee8080", "efbfbd", "f48fbfbf"),
    "6.22 noncharacters": noncharacters(),
    "6.23 specials": tuple(chr(point).encode() for point in range(0xFFF9, 0x10000)),
}

INVALID: dict[str, tuple[bytes, ...]] = {
    "6.6 prefixes that end within a character": tuple(KOSME[:end] for end in (1, 3, 4, 6, 8, 10)),
    "6.8 first of five and six bytes": hexes("f888808080", "fc8480808080"),
    "6.10 last beyond U+10FFFF": hexes("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"),
    "6.11 beyond U+10FFFF": hexes("f4908080"),
    "6.12 unexpected continuation": (
        *hexes("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"),
        bytes(range(0x80, 0xC0)),
    ),
    "6.13 lonely starts": (
        lonely(0xC0, 0xDF),
        lonely(0xE0, 0xEF),
        lonely(0xF0, 0xF7),
        lonely(0xF8, 0xFB),
        lonely(0xFC, 0xFD),
    ),
    "6.14 last byte missing": _MISSING_LAST,
    "6.15 incomplete sequences joined": (b"".join(_MISSING_LAST),),
    "6.16 impossible bytes": hexes("fe", "ff", "fefeffff"),
    "6.17 overlong ASCII": hexes("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"),
    "6.18 longest overlong": hexes("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"),
    "6.19 overlong NUL": hexes("c080", "e08080", "f0808080", "f880808080", "fc8080808080"),
    "6.20 single surrogates": hexes(
        "eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"
    ),
    "6.21 paired surrogates": nonpairs(),
}

EARLIEST: tuple[tuple[bytes, int], ...] = (
    # text, and how many of its bytes it takes to know that it is wrong
    (KOSME + bytes.fromhex("f4908080") + b"edited", len(KOSME) + 2),
    (KOSME + bytes.fromhex("eda080") + b"edited", len(KOSME) + 2),
    (bytes.fromhex("edbf80"), 2),
    (bytes.fromhex("e09fbf"), 2),
    (bytes.fromhex("f08fbfbf"), 2),
    (bytes.fromhex("c080"), 1),
    (bytes.fromhex("f5808080"), 1),
    (bytes.fromhex("f09f9841"), 4),
    (b"ascii\xff", 6),
)
