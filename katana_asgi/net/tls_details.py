"""What an application may know of its connection's TLS: the ``tls`` extension of ASGI.

Made once for a connection, when a request first asks for a scope.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.net.tls import ServingContext

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

__all__ = ["distinguished_name", "tls_details"]

VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""RFC 8446 §4.2.1."""

SHORT_NAMES: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""RFC 4514 §3; other attributes keep the name OpenSSL has for them."""

SPECIAL: Final = frozenset('"+,;<>\\')

_suites: dict[str, int] = {}


def tls_details(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """The content of ``scope["extensions"]["tls"]`` (ASGI TLS extension 0.2).

    ``client_cert_error`` is always ``None``: a client whose certificate is not accepted gets no
    connection.
    """
    connection: Any = transport.get_extra_info("ssl_object")
    context = connection.context
    client = connection.getpeercert()
    cipher = connection.cipher()
    return {
        "server_cert": context.certificate if isinstance(context, ServingContext) else None,
        "client_cert_chain": _chain(connection) if client else (),
        "client_cert_name": distinguished_name(client["subject"]) if client else None,
        "client_cert_error": None,
        "tls_version": VERSIONS.get(connection.version()),
        "cipher_suite": _suite(context, cipher[0]) if cipher else None,
    }


def distinguished_name(subject: Iterable[Iterable[tuple[str, str]]]) -> str:
    """The text of a name as ``getpeercert`` gives it (RFC 4514 §2: the last part first)."""
    return ",".join(
        "+".join(f"{SHORT_NAMES.get(kind, kind)}={_escaped(value)}" for kind, value in part)
        for part in reversed(list(subject))
    )


def _escaped(value: str) -> str:
    """RFC 4514 §2.4."""
    text = "".join(
        f"\\{char}" if char in SPECIAL else "\\00" if char == "\0" else char for char in value
    )
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    if value.endswith(" ") and len(value) > 1:
        text = f"{text[:-1]}\\ "
    return text


def _chain(connection: Any) -> tuple[str, ...]:
    """The client's certificate, and those it sent with it where Python can tell (3.13)."""
    tell = getattr(connection, "get_unverified_chain", None)
    chain = tell() if tell is not None else [connection.getpeercert(binary_form=True)]
    return tuple([ssl.DER_cert_to_PEM_cert(each) for each in chain])


def _suite(context: ssl.SSLContext, name: str) -> int | None:
    """The number of a cipher suite in IANA's registry."""
    if name not in _suites:
        for each in context.get_ciphers():
            _suites[each["name"]] = each["id"] & 0xFFFF  # above are OpenSSL's own bits
    return _suites.get(name)
