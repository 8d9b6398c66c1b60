# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""X.509 on `cryptography`: what a certificate says, whether it is what we want, and a new one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
# A certificate is used seconds after it was made, by hosts whose clocks may be a little behind ours.
BACKDATE = timedelta(minutes=5)
# Names become paths below our folder: no way out of it, nothing hidden.
SAFE_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
CN_LENGTH = 64  # X.520, ub-common-name


class PkiError(Exception):
    """Something that the user can act on; the text is shown as it is."""


@dataclass(frozen=True)
class Wanted:
    """One leaf certificate as it shall be; names are compared without their order."""

    name: str
    ca: str
    cn: str
    usages: tuple[str, ...]
    o: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Wanted:
        """From an item of the action's option `certificates`; fails on what no certificate can say."""
        lists = {key: tuple(dict.fromkeys(item.get(key) or ())) for key in ("usages", "o", "dns", "ip")}
        wanted = cls(safe_name(item["name"]), item["ca"], item["cn"], **lists)
        if not wanted.usages or not USAGES.keys() >= set(wanted.usages):
            raise PkiError(f"certificate `{wanted.name}`: usages are {' and '.join(USAGES)}, at least one of them")
        if not 1 <= len(wanted.cn) <= CN_LENGTH:
            why = f"its cn `{wanted.cn}` has {len(wanted.cn)} characters, X.509 takes 1 to {CN_LENGTH}"
            raise PkiError(f"certificate `{wanted.name}`: {why}: choose a shorter name of the host")
        try:
            _ = wanted.subject, wanted.names
        except ValueError as error:
            raise PkiError(f"certificate `{wanted.name}`: {error}") from error
        return wanted

    @cached_property
    def subject(self) -> x509.Name:
        """Organisations (Kubernetes groups) first, then the common name (the user)."""
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in self.o]
        return x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, self.cn)])

    @cached_property
    def alternatives(self) -> list[x509.GeneralName]:
        """Subject alternative names; each once, whatever its notation."""
        dns = dict.fromkeys(name.lower() for name in self.dns)
        ip = dict.fromkeys(ipaddress.ip_address(ip) for ip in self.ip)
        return [*(x509.DNSName(name) for name in dns), *(x509.IPAddress(address) for address in ip)]

    @cached_property
    def names(self) -> frozenset[str]:
        """Subject alternative names in one comparable form."""
        return _comparable(self.alternatives)


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, and its key where it is at hand."""

    certificate: x509.Certificate
    key: PrivateKey | None


def safe_name(name: str) -> str:
    """The name, when it can be a path below our folder."""
    if not SAFE_NAME.fullmatch(name):
        raise PkiError(f"`{name}` is no name of a key or certificate: letters, digits, `_.-` and at most one slash")
    return name


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Subject alternative names of a certificate, in the form of Wanted.names."""
    try:
        return _comparable(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return frozenset()


def usages_of(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    """Extended key usages of a certificate."""
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may sign others."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        # A CA without keyUsage may sign everything (RFC 5280, 4.2.1.3).
        return missing.oid == x509.KeyUsage.oid


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate has the issuer's name and signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def reason_to_issue(
    wanted: Wanted, certificate: x509.Certificate, key: PrivateKey, authority: Authority, now: datetime
) -> str:
    """Why a certificate must be issued again; the empty string when it is good."""
    if key.public_key() != certificate.public_key():
        return "its key does not belong to it"
    if not issued_by(certificate, authority.certificate):
        return f"it is not from the CA `{wanted.ca}`"
    if certificate.subject != wanted.subject:
        return f"its subject is {certificate.subject.rfc4514_string()}, wanted {wanted.subject.rfc4514_string()}"
    names = names_of(certificate)
    if names != wanted.names:
        changes = [f"+{name}" for name in wanted.names - names] + [f"-{name}" for name in names - wanted.names]
        return f"its names differ: {', '.join(sorted(changes))}"
    if usages_of(certificate) != {USAGES[usage] for usage in wanted.usages}:
        return f"it is not for {' and '.join(wanted.usages)}"
    return _reason_by_time(certificate, now)


def _reason_by_time(certificate: x509.Certificate, now: datetime) -> str:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return f"it is not valid before {begin:%Y-%m-%d %H:%M} UTC"
    left = end - now
    if left < (end - begin) / 3:
        return f"it expires in {left.days} days" if left > timedelta(0) else "it has expired"
    return ""


def _comparable(alternatives: Iterable[x509.GeneralName]) -> frozenset[str]:
    # Kinds that we never issue show as what they are, and so differ.
    kinds: dict[type[x509.GeneralName], str] = {x509.DNSName: "DNS", x509.IPAddress: "IP"}
    return frozenset(f"{kinds.get(type(name), type(name).__name__)}:{name.value}" for name in alternatives)


def new_key() -> PrivateKey:
    """ECDSA P-256, which every component takes and every CPU does quickly."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(cn: str, key: PrivateKey, days: int, now: datetime) -> x509.Certificate:
    """A self-signed CA that may sign leaf certificates only."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = _builder(name, name, key, now, now - BACKDATE + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def new_leaf(wanted: Wanted, authority: Authority, days: int, now: datetime) -> tuple[x509.Certificate, PrivateKey]:
    """A leaf certificate with a new key; it ends with its CA at the latest."""
    if authority.key is None:
        missing = f"the key of the CA `{wanted.ca}` is not on this machine"
        fix = "put it back from the backup of the state folder"
        raise PkiError(f"certificate `{wanted.name}` must be issued, but {missing}: {fix}")
    key, ca = new_key(), authority.certificate
    until = min(now - BACKDATE + timedelta(days=days), ca.not_valid_after_utc)
    builder = _builder(wanted.subject, ca.subject, key, now, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in wanted.usages]), critical=False)
    builder = builder.add_extension(_authority_key_identifier(ca), critical=False)
    if wanted.alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted.alternatives), critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


def pem(key: PrivateKey, passphrase: str = "") -> bytes:
    """A private key as PKCS#8, encrypted when there is a passphrase."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def public_pem(key: PrivateKey) -> bytes:
    """The public half of a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def is_encrypted(data: bytes) -> bool:
    """Whether a PEM key needs a passphrase: its first line says so, in OpenSSL's old form the second."""
    return any(b"ENCRYPTED" in line for line in data.splitlines()[:2])


def load_key(data: bytes, path: str, passphrase: str = "") -> PrivateKey:
    """A private key from PEM; `path` is for error texts."""
    encrypted = is_encrypted(data)
    if encrypted and not passphrase:
        raise PkiError(f"{path} is encrypted: set `pki_ca_passphrase`")
    try:
        key = serialization.load_pem_private_key(data, passphrase.encode() if encrypted else None)
    except (ValueError, TypeError) as error:
        why = "the passphrase in `pki_ca_passphrase` does not open it" if encrypted else "it is no private key in PEM"
        raise PkiError(f"{path} cannot be read: {why}") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise PkiError(f"{path} is neither an ECDSA nor an RSA key, which are what all components take")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATE).not_valid_after(until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _authority_key_identifier(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    # A user's CA may have made its identifier in another way, and the two have to be equal.
    try:
        identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(certificates: bool) -> x509.KeyUsage:
    # An ECDSA key signs; key encipherment is RSA's.
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
    """The clock, in whole seconds as certificates have them; tests pass their own."""
    return datetime.now(UTC).replace(microsecond=0)
