# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every CA, certificate and key of a cluster: read what is there, decide what is needed, issue it, report."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .authority import check_authority, load_users
from .certificate import (
    Authority,
    PkiError,
    PrivateKey,
    Wanted,
    is_encrypted,
    load_key,
    new_authority,
    new_key,
    new_leaf,
    pem,
    public_pem,
    reason_to_issue,
    safe_name,
    utc_now,
)
from .folder import Folder

INDEX = "index.json"
BACKUP = "put it back from the backup of the state folder"
RANDOM_BYTES = 32  # What AES-256 and secretbox of kube-apiserver take.


@dataclass(frozen=True)
class Issued:
    """One thing that was issued, and what it replaces."""

    name: str
    reason: str
    new: x509.Certificate | None = None
    old: x509.Certificate | None = None


@dataclass
class Report:
    """What was (or, in check mode, would be) issued and repaired, and which certificate expires first."""

    issued: list[Issued] = field(default_factory=list)
    repaired: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    first: tuple[datetime, str] | None = None

    def seen(self, name: str, certificate: x509.Certificate) -> None:
        """Remember the certificate that expires first."""
        candidate = (certificate.not_valid_after_utc, name)
        self.first = min(self.first, candidate) if self.first else candidate


class Store:
    """The folder with `ca/`, `certs/`, `keys/`, and `index.json` that seals what was ever made."""

    def __init__(
        self, folder: str, passphrase: str = "", check: bool = False, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.folder = Folder(folder, check)
        self.passphrase = passphrase
        self.now = clock()
        self.report = Report()
        self.index: set[str] = set()

    def run(
        self,
        cas: Sequence[Mapping[str, Any]],
        certificates: Sequence[Wanted],
        keys: Sequence[Mapping[str, str]],
        days: Mapping[str, int],
    ) -> Report:
        """Have all that is wanted; `days` has the lives of `ca` and `leaf`."""
        _check_days(days)
        _check_names([*(f"ca/{ca['name']}" for ca in cas), *(f"certs/{wanted.name}" for wanted in certificates)])
        try:
            with self.folder.locked():
                self._run(cas, certificates, keys, days)
        except OSError as error:
            raise PkiError(f"{error.filename or self.folder.path}: {error.strerror}") from error
        return self.report

    def _run(
        self,
        cas: Sequence[Mapping[str, Any]],
        certificates: Sequence[Wanted],
        keys: Sequence[Mapping[str, str]],
        days: Mapping[str, int],
    ) -> None:
        sealed = self._read_index()
        self.index = set(sealed)
        try:
            authorities = {ca["name"]: self._authority(ca, days) for ca in cas}
            for wanted in certificates:
                if wanted.ca not in authorities:
                    raise PkiError(f"certificate `{wanted.name}`: no CA is called `{wanted.ca}`")
                self._leaf(wanted, authorities[wanted.ca], days["leaf"])
            for key in keys:
                self._key(safe_name(key["name"]), key["type"])
            self.report.repaired += self.folder.tighten()
        finally:
            # Also after an error: what was made so far must not be taken for something new later.
            if self.index != sealed:
                self.folder.write(INDEX, json.dumps(sorted(self.index), indent=1).encode() + b"\n", durable=True)

    # ---- the three kinds
    def _authority(self, ca: Mapping[str, Any], days: Mapping[str, int]) -> Authority:
        name = f"ca/{safe_name(ca['name'])}"
        certificate = self._authority_certificate(name)
        key: PrivateKey | None
        if ca.get("certificate") or ca.get("key"):
            certificate, key = self._users(ca, name, certificate)
        elif certificate is None:
            certificate, key = self._new_authority(ca, name, days["ca"])
        else:
            check_authority(certificate, f"{self.folder.path / name}.crt", self.now)
            key = self._authority_key(name, certificate)
        self.index.add(name)
        self.report.seen(name, certificate)
        left = certificate.not_valid_after_utc - self.now
        if left < timedelta(days=days["leaf"]):
            self.report.warnings.append(
                f"the CA {name} expires in {left.days} days and no certificate outlives it: plan its replacement"
            )
        return Authority(certificate, key)

    def _authority_certificate(self, name: str) -> x509.Certificate | None:
        data = self.folder.read(f"{name}.crt")
        try:
            return x509.load_pem_x509_certificate(data) if data is not None else None
        except ValueError as error:
            raise PkiError(f"{self.folder.path / name}.crt is no certificate: {BACKUP}") from error

    def _authority_key(self, name: str, certificate: x509.Certificate | None) -> PrivateKey | None:
        """The key of a CA, where it is at hand; encrypted from now on when a passphrase is set."""
        path = self.folder.path / f"{name}.key"
        data = self.folder.read(f"{name}.key")
        if data is None:
            return None
        key = load_key(data, str(path), self.passphrase)
        if certificate is not None and key.public_key() != certificate.public_key():
            raise PkiError(f"{path} does not belong to {name}.crt beside it: put both back from the backup")
        if self.passphrase and not is_encrypted(data):
            self.folder.write(f"{name}.key", pem(key, self.passphrase), durable=True)
            self.report.repaired.append((f"{name}.key", "it was not encrypted"))
        return key

    def _new_authority(self, ca: Mapping[str, Any], name: str, days: int) -> tuple[x509.Certificate, PrivateKey]:
        path = self.folder.path / f"{name}.crt"
        if name in self.index:
            fresh = f"to begin anew with an empty cluster, remove {self.folder.path}"
            raise PkiError(f"{path} was issued once and is gone: {BACKUP} ({fresh})")
        # A key without certificate is what an interrupted run left; no key is ever replaced.
        key = self._authority_key(name, None)
        if key is None:
            key = new_key()
            self.folder.write(f"{name}.key", pem(key, self.passphrase), durable=True)
        certificate = new_authority(ca["cn"], key, days, self.now)
        self._save_certificate(name, "it is new", certificate, durable=True)
        return certificate, key

    def _users(
        self, ca: Mapping[str, Any], name: str, kept: x509.Certificate | None
    ) -> tuple[x509.Certificate, PrivateKey]:
        """A CA that the user brings, kept like one of ours."""
        certificate, key = load_users(ca, self.passphrase, self.now)
        if kept is None:
            self.folder.write(f"{name}.key", pem(key, self.passphrase), durable=True)
            self._save_certificate(name, "it is the user's own", certificate, durable=True)
        elif kept == certificate:
            self._authority_key(name, certificate)
        else:
            made = f"the CA that this cluster was made with, which is {self.folder.path / name}.crt"
            raise PkiError(f"{ca['certificate']} is not {made}: name that one in `pki_user_cas`, or none")
        return certificate, key

    def _leaf(self, wanted: Wanted, authority: Authority, days: int) -> None:
        name = f"certs/{wanted.name}"
        certificate, key, reason = self._read_leaf(name)
        if certificate is not None and key is not None:
            reason = reason_to_issue(wanted, certificate, key, authority, self.now)
        if reason:
            old = certificate
            certificate, key = new_leaf(wanted, authority, days, self.now)
            # The key first: a certificate whose key is not its own is issued again by the next run.
            self.folder.write(f"{name}.key", pem(key))
            self._save_certificate(name, reason, certificate, old)
        if certificate is not None:
            self.index.add(name)
            self.report.seen(name, certificate)

    def _read_leaf(self, name: str) -> tuple[x509.Certificate | None, PrivateKey | None, str]:
        """Certificate and key as far as they can be read, and why one of them cannot."""
        certificate, key, reason = None, None, ""
        data = self.folder.read(f"{name}.key")
        if data is None:
            reason = "its key is missing"
        else:
            try:
                key = load_key(data, name)
            except PkiError:
                reason = "its key cannot be read"
        data = self.folder.read(f"{name}.crt")
        if data is None:
            return None, key, "it is missing" if name in self.index else "it is new"
        try:
            certificate = x509.load_pem_x509_certificate(data)
        except ValueError:
            reason = "it cannot be read"
        return certificate, key, reason

    def _key(self, name: str, kind: str) -> None:
        """A key that is never replaced: what it protects would be lost with it."""
        file = f"keys/{name}.key" if kind == "pair" else f"keys/{name}"
        path = self.folder.path / file
        data = self.folder.read(file)
        if data is None:
            if file in self.index:
                why = "a new one could not read what the old one protects"
                raise PkiError(f"{path} was made once and is gone: {BACKUP}; {why}")
            data = pem(new_key()) if kind == "pair" else base64.b64encode(secrets.token_bytes(RANDOM_BYTES))
            self.folder.write(file, data, durable=True)
            self.report.issued.append(Issued(file, "it is new"))
        self.index.add(file)
        if kind == "pair":
            self._public_key(f"keys/{name}.pub", load_key(data, str(path)))
        elif not _is_random(data):
            raise PkiError(f"{path} is not {RANDOM_BYTES} bytes in base64: {BACKUP}")

    def _public_key(self, file: str, key: PrivateKey) -> None:
        """The public half; the file may have more keys, such as that of a rotation."""
        data = self.folder.read(file)
        if data is None:
            self.folder.write(file, public_pem(key), durable=True)
            if not any(issued.name == file.replace(".pub", ".key") for issued in self.report.issued):
                self.report.repaired.append((file, "it was missing"))
        elif public_pem(key).strip() not in data:
            raise PkiError(f"{self.folder.path / file} does not have the public half of the key beside it: {BACKUP}")

    # ---- the rest
    def _read_index(self) -> set[str]:
        data = self.folder.read(INDEX)
        try:
            return set(json.loads(data)) if data is not None else set()
        except (ValueError, TypeError) as error:
            raise PkiError(f"{self.folder.path / INDEX} is damaged: {BACKUP}") from error

    def _save_certificate(
        self,
        name: str,
        reason: str,
        certificate: x509.Certificate,
        old: x509.Certificate | None = None,
        durable: bool = False,
    ) -> None:
        self.folder.write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), durable)
        self.report.issued.append(Issued(name, reason, certificate, old))


def _check_days(days: Mapping[str, int]) -> None:
    if not 1 <= days["leaf"] <= 365:
        raise PkiError(f"pki_certificate_days is {days['leaf']}: set it to 1 to 365")
    if days["ca"] < days["leaf"]:
        raise PkiError(f"pki_ca_days is {days['ca']}: set it to at least pki_certificate_days, {days['leaf']}")


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise PkiError(f"named twice: {', '.join(twice)}")


def _is_random(data: bytes) -> bool:
    try:
        return len(base64.b64decode(data.strip(), validate=True)) == RANDOM_BYTES
    except binascii.Error:
        return False
