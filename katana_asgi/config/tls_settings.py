"""The settings of TLS: certificates, clients' certificates, and what belongs to https.

A table, not a program; ``model.py`` says how fields become settings. Where Uvicorn has the same
setting, it has the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.checks import check_readable
from katana_asgi.config.setting import setting
from katana_asgi.config.tls_checks import check_certificate, check_hsts, check_redirect_bind

__all__ = ["TlsSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class TlsSettings:
    """TLS."""

    theme = "TLS"

    ssl_certfile: str | None = setting(
        None,
        "path",
        "Certificate with its chain (PEM); every address then serves https only.",
        metavar="FILE",
        check=check_readable,
    )
    ssl_keyfile: str | None = setting(
        None,
        "path",
        "Private key of the certificate (PEM); by default it is in the certificate file.",
        metavar="FILE",
        check=check_readable,
    )
    ssl_keyfile_password: str | None = setting(
        None,
        "text",
        "Password of encrypted private keys. Other users can read the command line, so prefer the "
        "variable.",
    )
    ssl_sni: tuple[tuple[str, str, str], ...] = setting(
        (),
        "certificate",
        "Certificate for another host name, such as example.org or *.example.org; the key may be "
        "in the same file.",
        metavar="HOST=CERT[:KEY]",
        check=check_certificate,
    )
    ssl_minimum_version: str = setting(
        "1.2", "choice", "Oldest TLS version to accept.", choices=("1.2", "1.3")
    )
    ssl_ciphers: str = setting(
        "ECDHE+AESGCM:ECDHE+CHACHA20",
        "text",
        "Cipher suites of TLS 1.2 in OpenSSL's notation; OpenSSL chooses those of TLS 1.3.",
    )
    ssl_ca_certs: str | None = setting(
        None,
        "path",
        "Certificates of the authorities that sign client certificates (PEM).",
        metavar="FILE",
        check=check_readable,
    )
    ssl_cert_reqs: str = setting(
        "none",
        "choice",
        "Client certificates: none, optional or required; 0, 1 and 2 mean the same.",
        choices=("none", "optional", "required", "0", "1", "2"),
    )
    ssl_reload: bool = setting(
        True, "boolean", "Use changed certificate files within seconds, without a restart."
    )
    ssl_handshake_timeout: float = setting(
        10.0,
        "duration",
        "Time limit for a TLS handshake, measured from the connection on.",
        minimum=0.1,
    )
    ssl_shutdown_timeout: float = setting(
        2.0,
        "duration",
        "Time for the peer to confirm the end of a TLS connection.",
        minimum=0.1,
    )
    hsts: str = setting(
        "",
        "text",
        "Strict-Transport-Security header for every response, such as max-age=31536000.",
        check=check_hsts,
    )
    redirect_bind: str = setting(
        "",
        "text",
        "Additional plain HTTP address that redirects every request to https.",
        metavar="HOST:PORT",
        check=check_redirect_bind,
    )
    redirect_port: int = setting(
        0,
        "integer",
        "Port in redirects; 0 is the port of the https listener.",
        maximum=65535,
    )

    @property
    def scheme(self) -> str:
        """Of the URLs that are served: "https" or "http"."""
        return "http" if self.ssl_certfile is None else "https"
