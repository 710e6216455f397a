"""When certificates expire, read from their files (RFC 5280 §4.1).

The standard library tells it of a peer's certificate only, so the few fields in front of the
validity are stepped over here.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from katana_asgi.config.model import Config

__all__ = ["certificate_notes", "expiries", "expiry_of"]

SOON: Final = 14 * 24 * 3600
"""Seconds before the end in which a start warns: renewals come earlier than that."""

SEQUENCE: Final = 0x30
VERSION: Final = 0xA0  # [0], explicit
UTC_TIME: Final = 0x17
LONG_FORM: Final = 0x80

FIELDS_BEFORE_VALIDITY: Final = 3
"""Of a TBSCertificate, after its version: serial number, signature, issuer."""

_find_certificate: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL
).search


def expiries(config: Config) -> dict[str, float]:
    """When each certificate of the settings expires, by host, "" for the usual one.

    Certificates that cannot be read, or not by this process any more, are left out.
    """
    files = [("", config.ssl_certfile), *((host, cert) for host, cert, _ in config.ssl_sni)]
    found = {}
    for host, path in files:
        moment = None if path is None else expiry_of(path)
        if moment is not None:
            found[host] = moment
    return found


def certificate_notes(config: Config) -> Iterator[str]:
    """A note on each certificate that has expired or soon will have."""
    now = time.time()
    for host, moment in expiries(config).items():
        if moment > now + SOON:
            continue
        day = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
        whose = f"the certificate of {host}" if host else "the certificate"
        yield f"{whose} {'expired on' if moment <= now else 'expires soon, on'} {day}"


def expiry_of(path: str) -> float | None:
    """The end of validity of the first certificate in a file, in seconds since 1970."""
    try:
        match = _find_certificate(Path(path).read_bytes())
        return None if match is None else _not_after(base64.b64decode(match[1]))
    except (OSError, binascii.Error, ValueError, IndexError):
        return None


def _not_after(certificate: bytes) -> float:
    """Raises ``ValueError`` or ``IndexError`` for what is no certificate."""
    start, _ = _content(certificate, 0, SEQUENCE)
    start, _ = _content(certificate, start, SEQUENCE)
    if certificate[start] == VERSION:
        start = _end(certificate, start)
    for _ in range(FIELDS_BEFORE_VALIDITY):
        start = _end(certificate, start)
    start, _ = _content(certificate, start, SEQUENCE)
    second = _end(certificate, start)  # past notBefore
    text_start, text_end = _content(certificate, second, certificate[second])
    text = certificate[text_start:text_end].decode("ascii")
    if certificate[second] == UTC_TIME:  # two digits of the year (RFC 5280 §4.1.2.5.1)
        text = ("19" if text[0] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _content(data: bytes, start: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at ``start`` begins and ends (X.690 §8.1)."""
    if data[start] != tag:
        raise ValueError("not what stands here in a certificate")
    length = data[start + 1]
    begin = start + 2
    if length & LONG_FORM:
        count = length & ~LONG_FORM
        length = int.from_bytes(data[begin : begin + count], "big")
        begin += count
    if begin + length > len(data):
        raise ValueError("cut off")
    return begin, begin + length


def _end(data: bytes, start: int) -> int:
    return _content(data, start, data[start])[1]
