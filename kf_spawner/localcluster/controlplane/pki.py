"""The certificate authorities of the local cluster, and the certificates that they sign.

Owns `<home>/pki`: two authorities, server and client certificates, and the key that signs service account tokens.
Etcd has its own authority, so that no API client can reach it. Knows certificates only, not rights.
"""

import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .private_files import PRIVATE_FILE, private_folder, write_private

log = logging.getLogger(__name__)

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
# A new certificate must be valid even if the clock is set back a little.
CLOCK_SLACK = timedelta(hours=1)

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class PkiError(Exception):
    """A key or certificate is damaged; the message names the file and the remedy."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Leaf:
    """The content of a certificate to sign: subject, purposes, and for a server its names and addresses."""

    common_name: str
    organizations: tuple[str, ...] = ()
    usages: tuple[x509.ObjectIdentifier, ...] = (CLIENT,)
    hosts: tuple[str, ...] = ()


class Authority:
    """A certificate authority in a folder: `<name>.crt`, `<name>.key`; created on first use, renewed before it ends.

    `now` is for tests. Calls read and write files and create keys (about a millisecond each).
    """

    def __init__(self, folder: Path, name: str, *, now: datetime | None = None) -> None:
        self.folder = private_folder(folder)
        self.name = name
        self.now = now or datetime.now(UTC)
        self.pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        self._key, self._certificate = self._load_or_make()

    def issue(self, name: str, leaf: Leaf) -> Pair:
        """The pair `<name>.crt`/`.key` for `leaf`: the existing one if it is still valid, else a new one."""
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        if reason := self._unusable(pair, leaf):
            log.debug("making certificate %s: %s", pair.certificate, reason)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._sign(leaf, key)
            # The key goes first: after a crash in between, the pair does not match and the next start replaces it.
            write_private(pair.key, _key_pem(key))
            write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.chmod(PRIVATE_FILE)
        return pair

    def _load_or_make(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if self.pair.certificate.exists() and self.pair.key.exists():
            certificate, key = _load(self.pair)
            if _public(certificate) == _public(key) and self.now < certificate.not_valid_after_utc - RENEW_BEFORE:
                self.pair.key.chmod(PRIVATE_FILE)
                return key, certificate
        key = ec.generate_private_key(ec.SECP256R1())
        # The time in the name distinguishes a renewed authority from the old one, which a client may still have.
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, f"kf-spawner-{self.name}-{int(self.now.timestamp())}")]
        )
        certificate = (
            _builder(subject, subject, key, self.now, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self.pair.key, _key_pem(key))
        write_private(self.pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return key, certificate

    def _sign(self, leaf: Leaf, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        builder = (
            _builder(_subject(leaf), self._certificate.subject, key, self.now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if leaf.hosts:
            names = x509.SubjectAlternativeName(_general_names(leaf.hosts))
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _unusable(self, pair: Pair, leaf: Leaf) -> str:
        """Why the pair on disk cannot serve as `leaf`; empty if it can."""
        if not (pair.certificate.exists() and pair.key.exists()):
            return "there is none"
        try:
            certificate, key = _load(pair)
            certificate.verify_directly_issued_by(self._certificate)
        except (PkiError, ValueError, TypeError, InvalidSignature):
            return "it is damaged, or signed by another authority"
        if _public(certificate) != _public(key):
            return "certificate and key do not match"
        if self.now >= certificate.not_valid_after_utc - RENEW_BEFORE:
            return f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
        if _described(certificate) != (_subject(leaf), set(leaf.usages), set(_general_names(leaf.hosts))):
            return "it says something else"
        return ""


def signing_key(folder: Path, name: str) -> Path:
    """The private key `<name>.key` for service account tokens, created once: a new one would void every token."""
    path = private_folder(folder) / f"{name}.key"
    if not path.exists():
        write_private(path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    path.chmod(PRIVATE_FILE)
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(leaf: Leaf) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in leaf.organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _described(
    certificate: x509.Certificate,
) -> tuple[x509.Name, set[x509.ObjectIdentifier], set[x509.GeneralName]]:
    extensions = certificate.extensions
    usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    try:
        hosts = set(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        hosts = set()
    return certificate.subject, usages, hosts


def _load(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise PkiError(
            f"{pair.certificate} or {pair.key} is damaged ({error}); remove the folder {pair.key.parent} and start "
            "again: it creates new keys and certificates (old service account tokens become invalid, objects stay)"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{pair.key} is not an elliptic curve key; remove it and its .crt file, then start again")
    return certificate, key


def _public(holder: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
