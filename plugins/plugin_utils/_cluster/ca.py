# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the authorities that lie on the control node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from .certificates import AUTHORITIES
from .model import Error

REPLACE = "put a valid authority there, or move certificate and key away to have a new one made (all certificates below it are issued again)"


def authority_errors(pki_dir: Path, now: datetime, passphrase: str = "") -> list[Error]:
    """Errors of all authorities that exist; those that do not will be made."""
    paths = (pki_dir / "ca" / f"{name}.crt" for name in AUTHORITIES)
    return [error for path in paths if path.exists() for error in _check(path, now, passphrase)]


def _check(path: Path, now: datetime, passphrase: str) -> Iterator[Error]:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        yield Error(str(path), f"it cannot be read as a certificate ({error})", REPLACE)
        return
    if now > certificate.not_valid_after_utc:
        yield Error(str(path), f"this CA has expired on {certificate.not_valid_after_utc:%Y-%m-%d}", REPLACE)
    if now < certificate.not_valid_before_utc:
        yield Error(str(path), f"this CA is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "set the control node's clock, or wait")
    if not _is_authority(certificate):
        yield Error(str(path), "this certificate is not a CA (basicConstraints)", REPLACE)
    yield from _check_key(path.with_suffix(".key"), certificate, passphrase)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_key(path: Path, certificate: x509.Certificate, passphrase: str) -> Iterator[Error]:
    """A key may be kept elsewhere while nothing has to be issued; the pki role says so when it needs it."""
    if not path.exists():
        return
    data = path.read_bytes()
    # A plain key is read without the passphrase, which may have been set only now.
    encrypted = b"ENCRYPTED" in data
    try:
        key = load_pem_private_key(data, passphrase.encode() if encrypted else None)
    except (TypeError, ValueError):
        fix = "set the passphrase variable of the pki role to the one that it was made with" if encrypted else REPLACE
        yield Error(str(path), "this CA key cannot be opened" + (" with the passphrase given" if encrypted else ""), fix)
        return
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        yield Error(str(path), f"this CA key does not belong to {path.with_suffix('.crt').name}", REPLACE)
