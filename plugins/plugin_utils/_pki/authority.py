# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a CA can be used, ours or one that the user brings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from .certificate import PkiError, PrivateKey, is_authority, issued_by, load_key


def check_authority(certificate: x509.Certificate, path: str, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not is_authority(certificate):
        raise PkiError(f"{path} is not the certificate of a CA (basicConstraints, keyUsage)")
    if now < begin:
        raise PkiError(
            f"the CA {path} is not valid before {begin:%Y-%m-%d %H:%M} UTC: correct the clock of this machine"
        )
    if end < now:
        fix = "put another CA and its key in its place, and all its certificates are issued again"
        raise PkiError(f"the CA {path} expired on {end:%Y-%m-%d}: {fix}")


def load_users(ca: Mapping[str, Any], passphrase: str, now: datetime) -> tuple[x509.Certificate, PrivateKey]:
    """Certificate and key of a CA that the user brings, checked; `ca` has their paths."""
    name, path, key_path = ca["name"], ca.get("certificate"), ca.get("key")
    if not (path and key_path):
        raise PkiError(f"pki_user_cas.{name}: give both paths, `certificate` and `key`")
    try:
        found = x509.load_pem_x509_certificates(_read(name, path))
    except ValueError as error:
        raise PkiError(f"pki_user_cas.{name}: {path} is no certificate in PEM") from error
    certificate = found[0]
    check_authority(certificate, path, now)
    # Whoever trusts a CA above ours lets in all whom it ever certified, and OpenSSL takes no intermediate CA
    # as the end of a chain.
    if len(found) > 1 or not issued_by(certificate, certificate):
        raise PkiError(
            f"pki_user_cas.{name}: {path} has to hold one self-signed CA for this alone, no chain or part of one"
        )
    key = load_key(_read(name, key_path), key_path, passphrase)
    if key.public_key() != certificate.public_key():
        raise PkiError(f"pki_user_cas.{name}: {key_path} does not belong to {path}")
    return certificate, key


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise PkiError(f"pki_user_cas.{name}: {path}: {error.strerror}") from error
