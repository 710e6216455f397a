"""What the tests of TLS need on the client's side: certificates in files, raw connections."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from katana_asgi.testing import HttpPeer
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from katana_asgi.testing import Running


class Files(NamedTuple):
    """A certificate chain and its key, in files."""

    certificate: Path
    key: Path

    @classmethod
    def of(cls, issued: trustme.LeafCert, where: Path, name: str) -> Self:
        """Write an issued certificate; a second time in the place of the first."""
        certificate, key = where / f"{name}.pem", where / f"{name}.key"
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return cls(certificate, key)


class Site(NamedTuple):
    """What a server of TLS is made of, and how a client comes to trust it."""

    authority: trustme.CA
    folder: Path
    files: Files
    trust: ssl.SSLContext

    @property
    def settings(self) -> dict[str, Any]:
        """Of a server with this certificate."""
        return {"ssl_certfile": self.files.certificate, "ssl_keyfile": self.files.key}

    @property
    def flags(self) -> tuple[str, ...]:
        """The same for the command line."""
        certificate, key = map(str, self.files)
        return ("--ssl-certfile", certificate, "--ssl-keyfile", key)

    def add(self, name: str, *hosts: str) -> Files:
        """Another certificate of the same authority."""
        return Files.of(self.authority.issue_cert(*hosts), self.folder, name)

    def client(self, *hosts: str) -> ssl.SSLContext:
        """The context of a client with a certificate for ``hosts``, or without one."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if hosts:
            self.authority.issue_cert(*hosts).configure_cert(context)
        return context


async def connect(
    server: Running | int, trust: ssl.SSLContext, host: str = "localhost"
) -> HttpPeer:
    """A connection whose handshake is done."""
    port = server if isinstance(server, int) else server.port
    opening = asyncio.open_connection(
        "127.0.0.1", port, limit=2**26, ssl=trust, server_hostname=host
    )
    return HttpPeer(*await asyncio.wait_for(opening, TIMEOUT))


def first_message(site: Site, host: bytes) -> bytes:
    """The beginning of a handshake that asks for ``host``, which no library would send."""
    outgoing = ssl.MemoryBIO()
    stand_in = "x" * len(host)
    client = site.trust.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=stand_in)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read().replace(stand_in.encode(), host)


def served_certificate(connection: HttpPeer) -> bytes:
    """The certificate the server showed, in DER."""
    peer = connection.writer.get_extra_info("ssl_object")
    certificate = peer.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate
