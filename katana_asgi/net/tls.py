"""TLS of a server: from settings to contexts, one for each certificate; the door of ``ssl``.

Every handshake begins with one context, which has the rules and the keys of session tickets,
and goes on with that of the certificate the client's host name asks for. Changed files become
new contexts, for handshakes to come; connections that are open have their own.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.config.reading import read_file
from katana_asgi.config.tls_checks import client_certificates
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["HTTP2", "ServingContext", "Tls"]

Signature: TypeAlias = tuple[tuple[int, int, int], ...]

HTTP2: Final = "h2"
HTTP1: Final = "http/1.1"
"""RFC 7301: what clients may choose from, RFC 9113 §3.2."""

VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
"""RFC 8996 forbids what is older."""

OPTIONS: Final = (
    ssl.OP_NO_COMPRESSION  # RFC 7525 §3.3: it tells secrets by length
    | ssl.OP_NO_RENEGOTIATION  # work that one side can ask of the other again and again
    | ssl.OP_CIPHER_SERVER_PREFERENCE
)

_find_certificate: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
).search

logger = logging.getLogger("katana_asgi.error")


class ServingContext(ssl.SSLContext):
    """The context of one certificate, which it can tell (``certificate``, in PEM)."""

    certificate: str


class _Certificates:
    """The contexts of one state of the files."""

    def __init__(self, config: Config) -> None:
        self.default = _serving(config, config.ssl_certfile or "", config.ssl_keyfile)
        self._exact: dict[str, ServingContext] = {}
        self._wild: dict[str, ServingContext] = {}
        for host, certificate, key in config.ssl_sni:
            named = self._wild if host.startswith("*.") else self._exact
            named[host.removeprefix("*")] = _serving(config, certificate, key)

    def of(self, host: str | None) -> ServingContext:
        """The context for a host name; a wildcard stands for one label (RFC 9525 §6.3)."""
        if not host:
            return self.default
        host = host.lower()
        exact = self._exact.get(host)
        if exact is not None:
            return exact
        _, dot, rest = host.partition(".")
        return self._wild.get(dot + rest, self.default)


class Tls:
    """``context`` is what handshakes begin with; it stays the same as long as the server lives.

    Raises ``ConfigurationError`` where a file has no certificate or key, the two do not belong
    together, a password is wrong, or OpenSSL does not know a cipher suite.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loaded = self._seen = self._tried = self._signature()
        self._certificates = _Certificates(config)
        self.context = context = _rules(config, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.sni_callback = self._choose

    def serves(self, config: Config) -> bool:
        """Whether this is what ``config`` asks for."""
        names = [name for name in vars(config) if name.startswith("ssl_") or name == "http2"]
        return all(getattr(config, name) == getattr(self._config, name) for name in names)

    def look(self) -> None:
        """Use certificates whose files have changed, and have stayed the same since the last check.

        They may be half written: a certificate and its key do not change at the same time.
        """
        signature = self._signature()
        settled = signature == self._seen
        self._seen = signature
        if settled and signature != self._loaded:
            self.reload()

    def reload(self) -> None:
        """Read all files again; log those that cannot be used, and keep the present ones."""
        self._loaded = self._seen = self._signature()
        try:
            self._certificates = _Certificates(self._config)
        except ConfigurationError as error:
            logger.error("Certificates not changed: %s", error)
        except Exception:
            logger.exception("Certificates not changed")
        else:
            logger.info("Certificates read again")

    def keep_up(self, *, at_once: bool) -> None:
        """Have what other processes use by now, in silence: they say what is wrong with it.

        Unless ``at_once``, files must have stayed the same since the last call.
        """
        signature = self._signature()
        settled = at_once or signature == self._seen
        self._seen = signature
        if not settled or signature in (self._loaded, self._tried):
            return
        self._tried = signature
        if not all(map(os.path.isfile, self._files())):
            return  # a FIFO would hold up who must watch the workers
        with suppress(Exception):
            self._certificates = _Certificates(self._config)
            self._loaded = signature

    def refresh(self) -> None:
        """``reload``, where files have changed since they were read."""
        if self._signature() != self._loaded:
            self.reload()

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, host: str | None, begun: ssl.SSLContext
    ) -> None:
        connection.context = self._certificates.of(host)

    def _signature(self) -> Signature:
        return tuple([_state(file) for file in self._files()])

    def _files(self) -> list[str]:
        config = self._config
        files = [config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs]
        for _, certificate, key in config.ssl_sni:
            files += [certificate, key]
        return [file for file in files if file is not None]


def _state(file: str) -> tuple[int, int, int]:
    """What changes with a file's content: renamed, linked elsewhere or written in place."""
    try:
        status = os.stat(file)
    except OSError as error:
        return error.errno or errno.EIO, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _rules(config: Config, context: ssl.SSLContext) -> ssl.SSLContext:
    """Set what holds for every connection."""
    context.minimum_version = MINIMUM[config.ssl_minimum_version]
    context.options |= OPTIONS
    context.set_alpn_protocols([HTTP1] if config.http2 == "off" else [HTTP2, HTTP1])
    try:
        context.set_ciphers(config.ssl_ciphers)
    except ssl.SSLError:
        raise ConfigurationError(
            f"setting ssl_ciphers: {config.ssl_ciphers!r} selects nothing; "
            "use a list of cipher suites as openssl ciphers takes it"
        ) from None
    if config.ssl_ca_certs is not None:
        _read("ssl_ca_certs", config.ssl_ca_certs)  # OpenSSL would wait for the writer of a FIFO
        try:
            context.load_verify_locations(config.ssl_ca_certs)
        except (OSError, ssl.SSLError) as error:
            raise _useless("ssl_ca_certs", config.ssl_ca_certs, _reason(error)) from None
    context.verify_mode = VERIFY[client_certificates(config.ssl_cert_reqs)]
    return context


def _serving(config: Config, certificate: str, key: str | None) -> ServingContext:
    """A context with one certificate."""
    key = certificate if key is None else key
    chain = _read("ssl_certfile", certificate)
    found = _find_certificate(chain)
    if found is None:
        raise _useless("ssl_certfile", certificate, "it holds no certificate in PEM form")
    private = _read("ssl_keyfile", key)
    if "PRIVATE KEY-----" not in private:
        raise _useless("ssl_keyfile", key, "it holds no private key in PEM form")
    context = ServingContext(ssl.PROTOCOL_TLS_SERVER)
    context.certificate = found[0] + "\n"
    password = config.ssl_keyfile_password
    try:
        # Always given: without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password or "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _useless(
                "ssl_keyfile", key, f"it does not belong to the certificate in {certificate!r}"
            ) from None
        if "ENCRYPTED" in private:
            problem = "its password is wrong" if password else "it needs ssl_keyfile_password"
            raise _useless("ssl_keyfile", key, problem) from None
        raise _useless("ssl_certfile", certificate, _reason(error)) from None
    except (OSError, ValueError) as error:
        raise _useless("ssl_certfile", certificate, str(error)) from None
    _rules(config, context)
    return context


def _read(name: str, file: str) -> str:
    try:
        return read_file(file).decode("latin-1")
    except OSError as error:
        raise _useless(name, file, error.strerror or "no reason given") from None


def _reason(error: OSError) -> str:
    """OpenSSL's own word for it."""
    reason = getattr(error, "reason", None) or error.strerror or "no reason given"
    return str(reason).replace("_", " ").lower()


def _useless(name: str, file: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"setting {name}: {file!r} cannot be used ({problem})")
