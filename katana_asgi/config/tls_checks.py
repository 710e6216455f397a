"""What the settings of TLS must look like, and which of them need another.

As in ``checks.py``: a check takes one value or member and raises ``NotAllowed``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.checks import check_readable
from katana_asgi.config.refusal import NotAllowed
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "check_certificate",
    "check_hsts",
    "check_redirect_bind",
    "check_tls",
    "client_certificates",
    "split_bind",
]

_match_host: Final = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*",
    re.ASCII | re.IGNORECASE,
).fullmatch
_match_hsts: Final = re.compile(
    r'max-age="?[0-9]{1,10}"?(?:\s*;\s*(?:includeSubDomains|preload))*', re.ASCII | re.IGNORECASE
).fullmatch  # RFC 6797 §6.1
_match_bind: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]*):([0-9]{1,5})").fullmatch

_NEED_CERTIFICATE: Final = (
    "ssl_keyfile",
    "ssl_keyfile_password",
    "ssl_sni",
    "ssl_ca_certs",
    "hsts",
    "redirect_bind",
)

_NUMBERS: Final = {"0": "none", "1": "optional", "2": "required"}


def check_certificate(member: tuple[str, str, str]) -> None:
    """A host name as it travels in a handshake (RFC 6066 §3), and readable files."""
    host, certificate, key = member
    if _match_host(host) is None:
        raise NotAllowed(
            host, "a name such as example.org or *.example.org, in its xn-- form where not ASCII"
        )
    check_readable(certificate)
    check_readable(key)


def check_hsts(value: str) -> None:
    """The value of Strict-Transport-Security (RFC 6797 §6.1); empty is none."""
    if value and _match_hsts(value) is None:
        raise NotAllowed(value, "max-age=SECONDS, then maybe ; includeSubDomains and ; preload")


def check_redirect_bind(value: str) -> None:
    """An address and a port; empty is none."""
    if value and _match_bind(value) is None:
        raise NotAllowed(value, "HOST:PORT, such as 0.0.0.0:80 or [::]:80")


def split_bind(value: str) -> tuple[str, int]:
    """Host and port of what ``check_redirect_bind`` has let pass."""
    host, _, port = value.rpartition(":")
    return host, int(port)


def client_certificates(value: str) -> str:
    """The word for ``ssl_cert_reqs``: none, optional or required."""
    return _NUMBERS.get(value, value)


def check_tls(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Check the settings of TLS together; see ``check_together``."""
    if values["ssl_certfile"] is None:
        for name in _NEED_CERTIFICATE:
            if values[name]:
                raise ConfigurationError(
                    f"{given.get(name, f'setting {name}')}: is not allowed without a certificate; "
                    "use it together with ssl_certfile"
                )
    wanted = client_certificates(values["ssl_cert_reqs"])
    if wanted != "none" and values["ssl_ca_certs"] is None:
        origin = given.get("ssl_cert_reqs", "setting ssl_cert_reqs")
        raise ConfigurationError(
            f"{origin}: {wanted!r} is not allowed without authorities to trust; "
            "use it together with ssl_ca_certs"
        )
