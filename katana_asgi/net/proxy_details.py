"""What a PROXY header tells beyond addresses, as applications read it in their scope.

``scope["extensions"]["proxy_protocol"]``: names for the TLVs that "The PROXY protocol", section
2.2.1 and later, defines; those it does not define are left as bytes under their numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.net.proxy_protocol import ProxyHeaderError, parse_tlvs

if TYPE_CHECKING:
    from katana_asgi.net.proxy_protocol import Origin

__all__ = ["proxy_details"]

_ALPN, _AUTHORITY, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x05, 0x20

_CLIENT_SSL, _CERT_CONN, _CERT_SESS = 0x01, 0x02, 0x04

_SSL_TEXTS: Final = {
    0x21: "tls_version",
    0x22: "tls_common_name",
    0x23: "tls_cipher",
    0x24: "tls_signature_algorithm",
    0x25: "tls_key_algorithm",
}


def proxy_details(origin: Origin) -> dict[str, Any]:
    """The extension: ``version``, ``tlvs`` and, where they were sent, the named ones.

    ``alpn``, ``authority`` and the names with ``tls_`` are text, ``unique_id`` is bytes. The
    latter are there only where the client came over TLS; ``tls_certificate`` says whether the
    client gave one and ``tls_verified`` whether the balancer found it good, both as booleans.
    No value can be changed. Raises ``ProxyHeaderError`` for a TLV whose inside is malformed.
    """
    details: dict[str, Any] = {"version": origin.version, "tlvs": origin.tlvs}
    for kind, value in origin.tlvs:
        if kind == _ALPN:
            details["alpn"] = value.decode("latin-1")
        elif kind == _AUTHORITY:
            details["authority"] = value.decode("utf-8", "replace")
        elif kind == _UNIQUE_ID:
            details["unique_id"] = value
        elif kind == _SSL:
            details.update(_tls(value))
    return details


def _tls(value: bytes) -> dict[str, Any]:
    if len(value) < 5:
        raise ProxyHeaderError("a TLV is cut short")
    client, verify = value[0], int.from_bytes(value[1:5], "big")
    if not client & _CLIENT_SSL:
        return {}
    certificate = bool(client & (_CERT_CONN | _CERT_SESS))
    tls: dict[str, Any] = {
        "tls_certificate": certificate,
        "tls_verified": certificate and verify == 0,
    }
    for kind, text in parse_tlvs(value[5:]):
        if kind in _SSL_TEXTS:
            tls[_SSL_TEXTS[kind]] = text.decode("utf-8", "replace")
    return tls
