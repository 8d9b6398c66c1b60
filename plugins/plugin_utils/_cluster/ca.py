# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the authorities that lie on the control node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from .certificates import AUTHORITIES
from .model import Error

PASSPHRASE, USER_CAS = "pki_ca_passphrase", "pki_user_cas"  # Variables of the pki role.
REPLACE = (
    "put it back from the backup, or another CA and its key in its place (all its certificates are then issued again)"
)


def authority_errors(pki_dir: Path, given: Mapping[str, Any], passphrase: str, now: datetime) -> Iterator[Error]:
    """Errors of all authorities that exist, ours and the user's own (``given``); those that do not will be made."""
    for name in AUTHORITIES:
        crt, key = (pki_dir / "ca" / f"{name}.{kind}" for kind in ("crt", "key"))
        if crt.exists():
            yield from _check(crt, key, passphrase, now)
    for name, pair in given.items():
        if name not in AUTHORITIES or not isinstance(pair, Mapping) or set(pair) != {"certificate", "key"}:
            fix = f"give one of {', '.join(AUTHORITIES)} the paths certificate and key"
            yield Error(f"{name} is not one of our CAs with certificate and key", fix, USER_CAS)
        elif missing := [path for path in pair.values() if not Path(path).expanduser().is_file()]:
            yield Error(f"there is no file {' and no file '.join(missing)}", "correct the path", USER_CAS)
        else:
            crt, key = (Path(pair[kind]).expanduser() for kind in ("certificate", "key"))
            yield from _check(crt, key, passphrase, now)


def _check(path: Path, key: Path, passphrase: str, now: datetime) -> Iterator[Error]:
    where = str(path)
    try:
        bundle = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        yield Error(f"it cannot be read as a certificate ({error})", REPLACE, where)
        return
    certificate = bundle[0]
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        yield Error(f"this CA expired on {end:%Y-%m-%d}", REPLACE, where)
    if now < begin:
        yield Error(f"this CA is not valid before {begin:%Y-%m-%d %H:%M} UTC", "correct the clock here", where)
    if not _is_authority(certificate):
        yield Error("this certificate is not that of a CA (basicConstraints)", REPLACE, where)
    # A key may be kept elsewhere while nothing has to be issued; the pki role says so when it needs it.
    if key.exists():
        yield from _check_key(key, path, bundle, passphrase)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_key(path: Path, of: Path, bundle: list[x509.Certificate], passphrase: str) -> Iterator[Error]:
    data = path.read_bytes()
    encrypted = b"ENCRYPTED" in data
    try:
        key = load_pem_private_key(data, passphrase.encode() if encrypted else None)
    except (TypeError, ValueError):
        if encrypted:
            yield Error("the passphrase does not open this CA key", f"set {PASSPHRASE} to the right one", str(path))
        else:
            yield Error("it cannot be read as a private key", REPLACE, str(path))
        return
    # Of several the first one, or another while its rotation was interrupted: the pki role puts that right.
    if _public(key) not in map(_public, bundle):
        yield Error(f"this CA key does not belong to {of.name}", REPLACE, str(path))


def _public(owner: PrivateKeyTypes | x509.Certificate) -> bytes:
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
