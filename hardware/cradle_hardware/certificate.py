"""The self-signed certificate of a TLS server: made once, kept in two files, named by its hash. No CA is involved."""

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cradle_hardware.link import DriverMissing, LinkRefused

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE_FILE = "tls-certificate.pem"
KEY_FILE = "tls-key.pem"
MODE = 0o600  # of both files
OTHERS = 0o077  # permission bits that a key must not have

# A board that lost its clock thinks it is 1970 or 2000; the last second is RFC 5280's way to say "no end".
FIRST_YEAR = 1970
LAST = (9999, 12, 31, 23, 59, 59)


class Certificate(NamedTuple):
    """Where its files are, and the SHA-256 of its DER bytes."""

    certificate: Path
    key: Path
    binding: bytes


def load_or_make(folder: Path, name: str = "cradle") -> Certificate:
    """The certificate of this folder; a new one, with `name` in it, if there is none yet."""
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not (certificate.exists() and key.exists()):
        _make(certificate, key, name)
    _check_private(key)
    return Certificate(certificate, key, _binding(certificate))


def _check_private(key: Path) -> None:
    if stat.S_IMODE(key.stat().st_mode) & OTHERS:
        raise LinkRefused(
            f"others can read the key {key}: run chmod 600 on it, and if they did, delete it and pair again"
        )


def _binding(path: Path) -> bytes:
    """Of the PEM file; ssl is loaded anyway by who uses it."""
    import ssl

    try:
        der = ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise LinkRefused(f"{path} is no certificate: delete it to get a new one, then pair again") from error
    return hashlib.sha256(der).digest()


def _make(certificate: Path, key: Path, name: str) -> None:
    try:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise DriverMissing("TLS certificates", "network") from error
    secret = ec.generate_private_key(ec.SECP256R1())
    pem = secret.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The certificate comes last: a crash in between leaves no pair, and both are made again.
    certificate.unlink(missing_ok=True)
    _write(key, pem)
    _write(certificate, _signed(secret, name).public_bytes(form.Encoding.PEM))


def _signed(secret: "object", name: str) -> "x509.Certificate":
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(secret, ec.EllipticCurvePrivateKey)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64] or "cradle")])
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(FIRST_YEAR, 1, 1))
        .not_valid_after(datetime.datetime(*LAST))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
