"""The Huffman code of HTTP/2 and HTTP/3 field compression (RFC 7541 §5.2, appendix B); the twin."""

from __future__ import annotations

from typing import Final

__all__ = ["decode_huffman"]

_SYMBOLS: Final = (
    b"""012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!"()?\'+|#>"""
    b"\x00$@[]~^}<`{\\\xc3\xd0\x80\x82\x83\xa2\xb8\xc2\xe0\xe2\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8"
    b"\xd9\xe3\xe5\xe6\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb"
    b"\xbd\xbe\xc4\xc6\xe4\xe8\xe9\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e"
    b"\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1"
    b"\xec\xed\xc7\xcf\xea\xeb\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff\xcb\xcc"
    b"\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe\x02\x03\x04\x05\x06\x07"
    b"\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9"
    b"\n\r\x16"
)
"""RFC 7541 appendix B is a canonical code: codes of one length are consecutive numbers in the
order of their symbols, and longer codes go on where shorter ones ended."""

_LENGTHS: Final = (
    *((5, 10), (6, 26), (7, 32), (8, 6), (10, 5), (11, 3), (12, 2), (13, 6), (14, 2), (15, 3)),
    *((19, 3), (20, 8), (21, 13), (22, 26), (23, 29), (24, 12), (25, 4), (26, 15), (27, 19)),
    *((28, 29), (30, 3)),
)
"""Lengths of codes in bits, each with how many codes are that long; the last of 30 bits is EOS."""

_EOS: Final = "1" * 30


def _symbols_by_code() -> dict[str, int]:
    symbols = iter(_SYMBOLS)
    found = {}
    code = before = 0
    for length, count in _LENGTHS:
        code <<= length - before
        before = length
        for _ in range(count):
            found[format(code, f"0{length}b")] = next(symbols)
            code += 1
    return found


_CODES: Final = _symbols_by_code()


class _Row(list["tuple[_Row, bytes] | None"]):
    """What each next byte leads to after the ``bits`` of a code that is not complete.

    Entries are made when they are first needed: ordinary text uses a few hundred of 65,536.
    """

    __slots__ = ("bits",)

    def __init__(self, bits: str) -> None:
        super().__init__([None] * 256)
        self.bits = bits

    def entry(self, byte: int) -> tuple[_Row, bytes]:
        """Make the entry for ``byte``: the row to go on with, the symbols that were completed."""
        bits = self.bits
        symbols = bytearray()
        for bit in format(byte, "08b"):
            bits += bit
            symbol = _CODES.get(bits)
            if symbol is not None:
                symbols.append(symbol)
                bits = ""
            elif bits == _EOS:
                raise ValueError("end-of-string symbol in a Huffman code")
        row = _ROWS.setdefault(bits, _Row(bits))
        found = self[byte] = (row, bytes(symbols))
        return found


_ROWS: Final[dict[str, _Row]] = {"": _Row("")}

_PADDINGS: Final = frozenset("1" * count for count in range(8))
"""What may be left at the end: less than a byte, the beginning of EOS (RFC 7541 §5.2)."""


def decode_huffman(data: bytes) -> bytes:
    """Decode a string literal; raises ``ValueError`` for EOS and for wrong padding."""
    row = _ROWS[""]
    parts = []
    for byte in data:
        row, symbols = row[byte] or row.entry(byte)
        parts.append(symbols)
    if row.bits not in _PADDINGS:
        raise ValueError("wrong padding of a Huffman code")
    return b"".join(parts)
