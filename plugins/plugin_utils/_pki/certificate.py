# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""X.509 on `cryptography`: what a certificate says, whether it is what we want, and a new one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
# Hosts' clocks may differ by up to a second and a site run starts at once; five minutes also cover a control node that is a little ahead.
BACKDATE = timedelta(minutes=5)


class PkiError(Exception):
    """Something that the user can act on; the text is shown as it is."""


@dataclass(frozen=True)
class Wanted:
    """One leaf certificate as it shall be."""

    name: str
    ca: str
    cn: str
    usages: list[str]
    o: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    ip: list[str] = field(default_factory=list)

    def subject(self) -> x509.Name:
        """Organisations (Kubernetes groups) first, then the common name (the user)."""
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in self.o]
        return x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, self.cn)])

    def names(self) -> set[str]:
        """Subject alternative names in one comparable form."""
        return {f"DNS:{name}" for name in self.dns} | {f"IP:{ipaddress.ip_address(ip)}" for ip in self.ip}


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, and its key where it is at hand."""

    certificate: x509.Certificate
    key: PrivateKey | None


def names_of(certificate: x509.Certificate) -> set[str]:
    """Subject alternative names of a certificate, in the form of Wanted.names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {f"DNS:{name}" for name in extension.get_values_for_type(x509.DNSName)} | {f"IP:{ip}" for ip in extension.get_values_for_type(x509.IPAddress)}


def public_bytes(key: PrivateKey) -> bytes:
    """The public half, comparable."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def reason_to_issue(wanted: Wanted, certificate: x509.Certificate, key: PrivateKey, authority: Authority, now: datetime) -> str:
    """Why a certificate must be issued again; the empty string when it is good."""
    if public_bytes(key) != certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo):
        return "its key does not belong to it"
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001  (any failure means: not from this CA)
        return f"it is not from the CA `{wanted.ca}`"
    if certificate.subject != wanted.subject():
        return f"its subject is {certificate.subject.rfc4514_string()}, wanted {wanted.subject().rfc4514_string()}"
    if names_of(certificate) != wanted.names():
        return f"its names differ by {', '.join(sorted(names_of(certificate) ^ wanted.names()))}"
    usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    if usages != {USAGES[usage] for usage in wanted.usages}:
        return "its usages differ"
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    left = certificate.not_valid_after_utc - now
    if left < life / 3:
        return f"it expires in {left.days} days" if left > timedelta(0) else "it has expired"
    return ""


def new_key() -> PrivateKey:
    """ECDSA P-256, which every component takes and every CPU does quickly."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(cn: str, days: int, now: datetime) -> tuple[x509.Certificate, PrivateKey]:
    """A self-signed CA that may sign leaf certificates only."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = _builder(name, name, key, days, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def new_leaf(wanted: Wanted, authority: Authority, days: int, now: datetime) -> tuple[x509.Certificate, PrivateKey]:
    """A leaf certificate with a new key; never longer valid than its CA."""
    if authority.key is None:
        raise PkiError(f"certificate `{wanted.name}` must be issued, but the key of the CA `{wanted.ca}` is not on this machine: put it back from the backup of the state folder")
    key = new_key()
    ca = authority.certificate
    builder = _builder(wanted.subject(), ca.subject, key, days, now, ca.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in wanted.usages]), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)  # type: ignore[arg-type]
    if wanted.names():
        alternatives = [x509.DNSName(name) for name in wanted.dns] + [x509.IPAddress(ipaddress.ip_address(ip)) for ip in wanted.ip]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, days: int, now: datetime, no_later_than: datetime | None = None) -> x509.CertificateBuilder:
    until = now + timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATE).not_valid_after(min(until, no_later_than) if no_later_than else until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _key_usage(certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def utc_now() -> datetime:
    """The clock; tests pass their own."""
    return datetime.now(timezone.utc)
