"""When a certificate expires is read from its file (F8)."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import pytest

from katana_asgi.config.model import Config
from katana_asgi.net.certificates import certificate_notes, expiries, expiry_of

x509 = pytest.importorskip("cryptography.x509")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
primitives = pytest.importorskip("cryptography.hazmat.primitives")

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def write(path: Path, end: datetime.datetime, start: datetime.datetime | None = None) -> str:
    """A certificate that ends then, with its key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start or end - datetime.timedelta(days=90))
        .not_valid_after(end)
        .sign(KEY, primitives.hashes.SHA256())
    )
    encoding = primitives.serialization.Encoding.PEM
    private = KEY.private_bytes(
        encoding,
        primitives.serialization.PrivateFormat.PKCS8,
        primitives.serialization.NoEncryption(),
    )
    path.write_bytes(b"a comment\n" + certificate.public_bytes(encoding) + private)
    return str(path)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(NOW, id="now"),
        datetime.datetime(1999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        datetime.datetime(2049, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
    ],
    ids=str,
)
def test_the_end_of_a_certificate_is_found(end: datetime.datetime, tmp_path: Path) -> None:
    assert expiry_of(write(tmp_path / "a.pem", end)) == end.timestamp()


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    assert expiry_of(str(path)) is None
    whole = write(tmp_path / "b.pem", NOW)
    text = Path(whole).read_bytes()
    data = base64.b64decode(text.partition(b"CERTIFICATE-----")[2].partition(b"-----END")[0])
    for size in (0, 1, 2, 5, 20, 40, 60):
        cut = base64.b64encode(data[:size])
        path.write_bytes(b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % cut)
        assert expiry_of(str(path)) is None
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    assert expiry_of(str(path)) is None


@pytest.mark.parametrize(
    ("days", "note"),
    [(-1, "the certificate expired on "), (3, "the certificate expires soon, on "), (60, "")],
)
def test_a_certificate_that_ends_is_noted(days: int, note: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.pem", NOW + datetime.timedelta(days=days))
    found = list(certificate_notes(Config("a:b", ssl_certfile=file)))
    assert len(found) == bool(note)
    assert all(each.startswith(note) for each in found)


def test_certificates_of_hosts_are_told_apart(tmp_path: Path) -> None:
    one = write(tmp_path / "a.pem", NOW)
    two = write(tmp_path / "b.pem", NOW - datetime.timedelta(days=1))
    config = Config("a:b", ssl_certfile=one, ssl_sni=(("example.org", two, two),))
    assert expiries(config) == {"": NOW.timestamp(), "example.org": NOW.timestamp() - 86400}
    assert any("certificate of example.org expired" in note for note in certificate_notes(config))
