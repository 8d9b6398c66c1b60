# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAs, ours or those that the user brings: have one, see whether it can be used, replace it step by step.

`ca/NAME.crt` has the CA in use first; others in it are trusted besides. `ca/NAME.key` belongs to the first one, and the
key of one to come waits in `ca/NAME.next.key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from .certificate import (
    Authority,
    PkiError,
    PrivateKey,
    is_authority,
    is_encrypted,
    issued_by,
    load_key,
    new_authority,
    new_key,
    pem,
    safe_name,
)
from .desk import BACKUP, Desk, Issued

Pair = tuple[x509.Certificate, PrivateKey]


def have_authority(desk: Desk, ca: Mapping[str, Any], days: Mapping[str, int]) -> Authority:
    """The CA that issues from now on."""
    name = f"ca/{safe_name(ca['name'])}"
    users = load_users(ca, desk.passphrase, desk.now) if ca.get("certificate") or ca.get("key") else None
    bundle = _bundle(desk, name)
    if bundle:
        key = _key(desk, f"{name}.key")
        bundle = _in_use_first(desk, name, bundle, key)
        bundle, key = _rotate(desk, ca, bundle, key, users, days["ca"])
        check_authority(bundle[0], f"{desk.folder.path / name}.crt", desk.now)
        if users:
            _is_users(desk, ca, bundle, users[0])
        if users and users[0] == bundle[0]:
            key = users[1]
    else:
        certificate, key = _first(desk, ca, name, users, days["ca"])
        bundle = [certificate]
    desk.index.add(name)
    desk.positions[name] = desk.rotation.position(name, [_id(certificate) for certificate in bundle])
    desk.report.seen(name, bundle[0])
    left = bundle[0].not_valid_after_utc - desk.now
    if left < timedelta(days=days["leaf"]):
        fix = f"plan its replacement, by playbooks/rotate_certificates.yml with rotate_ca={ca['name']}"
        desk.report.warnings.append(f"the CA {name} expires in {left.days} days and no certificate outlives it: {fix}")
    return Authority(bundle[0], key)


# ---- a CA that is there
def _bundle(desk: Desk, name: str) -> list[x509.Certificate]:
    data = desk.folder.read(f"{name}.crt")
    try:
        return x509.load_pem_x509_certificates(data) if data is not None else []
    except ValueError as error:
        raise PkiError(f"{desk.folder.path / name}.crt is no certificate: {BACKUP}") from error


def _key(desk: Desk, file: str) -> PrivateKey | None:
    """The key of a CA, where it is at hand; encrypted from now on when a passphrase is set."""
    data = desk.folder.read(file)
    if data is None:
        return None
    key = load_key(data, str(desk.folder.path / file), desk.passphrase)
    if desk.passphrase and not is_encrypted(data):
        desk.folder.write(file, pem(key, desk.passphrase), durable=True)
        desk.report.repaired.append((file, "it was not encrypted"))
    return key


def _in_use_first(
    desk: Desk, name: str, bundle: list[x509.Certificate], key: PrivateKey | None
) -> list[x509.Certificate]:
    """The key says which CA is in use; an interrupted run may have left them in the old order."""
    if key is None or key.public_key() == bundle[0].public_key():
        return bundle
    used = next((certificate for certificate in bundle if key.public_key() == certificate.public_key()), None)
    if used is None:
        path = desk.folder.path / name
        raise PkiError(f"{path}.key does not belong to {name}.crt beside it: put both back from the backup")
    bundle = [used, *(certificate for certificate in bundle if certificate != used)]
    desk.write_certificates(name, bundle, durable=True)
    desk.report.repaired.append((f"{name}.crt", "the CA whose key is in use was not the first in it"))
    return bundle


# ---- a new one
def _first(desk: Desk, ca: Mapping[str, Any], name: str, users: Pair | None, days: int) -> Pair:
    path = desk.folder.path / f"{name}.crt"
    if users:
        certificate, key = users
        desk.folder.write(f"{name}.key", pem(key, desk.passphrase), durable=True)
    else:
        if name in desk.index:
            fresh = f"to begin anew with an empty cluster, remove {desk.folder.path}"
            raise PkiError(f"{path} was issued once and is gone: {BACKUP} ({fresh})")
        key = _have_key(desk, f"{name}.key")
        certificate = new_authority(ca["cn"], key, days, desk.now)
    desk.write_certificates(name, [certificate], durable=True)
    desk.report.issued.append(Issued(name, "it is the user's own" if users else "it is new", certificate))
    return certificate, key


def _have_key(desk: Desk, file: str) -> PrivateKey:
    """A key without certificate is what an interrupted run left; no key is ever replaced."""
    key = _key(desk, file)
    if key is None:
        key = new_key()
        desk.folder.write(file, pem(key, desk.passphrase), durable=True)
    return key


# ---- one for another
def _rotate(
    desk: Desk,
    ca: Mapping[str, Any],
    bundle: list[x509.Certificate],
    key: PrivateKey | None,
    users: Pair | None,
    days: int,
) -> tuple[list[x509.Certificate], PrivateKey | None]:
    name = f"ca/{ca['name']}"
    phase = desk.rotation.due(name, [_id(certificate) for certificate in bundle])
    if not phase:
        return bundle, key
    if phase == "trust":
        bundle = [*bundle, _successor(desk, ca, bundle[0], users, days)]
        desk.write_certificates(name, bundle, durable=True)
        desk.rotation.step(name, "its successor is trusted besides it")
        return bundle, key
    record = desk.rotation.records[name]
    if phase == "issue":
        (new,) = (certificate for certificate in bundle if _id(certificate) == record["to"])
        coming = _key(desk, f"{name}.next.key") or key
        if coming is None or coming.public_key() != new.public_key():
            raise PkiError(f"{desk.folder.path / name}.next.key does not belong to the last of {name}.crt: {BACKUP}")
        if coming is not key:
            desk.folder.rename(f"{name}.next.key", f"{name}.key")
        bundle, key = [new, *(certificate for certificate in bundle if certificate != new)], coming
        desk.rotation.step(name, "its successor issues certificates")
    else:
        bundle = [certificate for certificate in bundle if _id(certificate) != record["from"]]
        desk.rotation.step(name, "its predecessor is not trusted any more")
    desk.write_certificates(name, bundle, durable=True)
    return bundle, key


def _successor(
    desk: Desk, ca: Mapping[str, Any], old: x509.Certificate, users: Pair | None, days: int
) -> x509.Certificate:
    name = f"ca/{ca['name']}"
    if users is None:
        # A name of its own, so that no reader of certificates has to guess which of two signed.
        certificate = new_authority(
            f"{ca['cn']} {desk.now:%Y-%m-%d}", _have_key(desk, f"{name}.next.key"), days, desk.now
        )
    else:
        certificate, key = users
        if certificate == old:
            fix = f"name the files of its successor in `pki_user_cas.{ca['name']}`, then run again"
            raise PkiError(f"{ca['certificate']} is the CA in use: {fix}")
        desk.folder.write(f"{name}.next.key", pem(key, desk.passphrase), durable=True)
    desk.rotation.begin(name, _id(old), _id(certificate))
    desk.report.issued.append(Issued(name, "it will replace the one in use", certificate, old))
    return certificate


def _id(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


# ---- what can be used
def check_authority(certificate: x509.Certificate, path: str, now: datetime) -> None:
    """Fail on a certificate that is no CA, or not now."""
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


def load_users(ca: Mapping[str, Any], passphrase: str, now: datetime) -> Pair:
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


def _is_users(desk: Desk, ca: Mapping[str, Any], bundle: list[x509.Certificate], own: x509.Certificate) -> None:
    """A user's CA is the one in use, or its coming successor."""
    name = f"ca/{ca['name']}"
    if own != bundle[0] and not (own in bundle and desk.rotation.in_progress(name)):
        used = f"the CA in use, which is {desk.folder.path / name}.crt"
        fix = f"name that one in `pki_user_cas`, or run playbooks/rotate_certificates.yml with rotate_ca={ca['name']}"
        raise PkiError(f"{ca['certificate']} is not {used}: {fix}")


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise PkiError(f"pki_user_cas.{name}: {path}: {error.strerror}") from error
