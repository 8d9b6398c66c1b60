# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder on the control node that holds every CA, certificate and key of a cluster."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .certificate import Authority, PkiError, PrivateKey, Wanted, new_authority, new_key, new_leaf, public_bytes, reason_to_issue, utc_now


@dataclass
class Report:
    """What was (or, in check mode, would be) issued, and which certificate expires first."""

    issued: list[dict[str, str]] = field(default_factory=list)
    first: tuple[datetime, str] | None = None

    def seen(self, name: str, certificate: x509.Certificate) -> None:
        """Remember the certificate that expires first."""
        candidate = (certificate.not_valid_after_utc, name)
        self.first = min(self.first, candidate) if self.first else candidate


class Store:
    """Reads what is there, decides what is missing, issues it. Files are 0600 and replaced atomically."""

    def __init__(self, folder: str, passphrase: str = "", check: bool = False, clock: Callable[[], datetime] = utc_now) -> None:
        self.folder = Path(folder)
        self.passphrase = passphrase.encode() or None
        self.check = check
        self.now = clock()
        self.report = Report()
        self.index: set[str] = set()

    def run(self, cas: list[dict[str, Any]], certificates: list[Wanted], keys: list[dict[str, str]], days: dict[str, int]) -> Report:
        """Have all that is wanted; `days` has the lives of `ca` and `leaf`."""
        with self._locked():
            self.index = set(self._index())
            authorities = {ca["name"]: self._authority(ca, days["ca"]) for ca in cas}
            for wanted in certificates:
                if wanted.ca not in authorities:
                    raise PkiError(f"certificate `{wanted.name}`: no CA is called `{wanted.ca}`")
                self._leaf(wanted, authorities[wanted.ca], days["leaf"])
            for key in keys:
                self._key(key)
            if self.report.issued and not self.check:
                self._write("index.json", json.dumps(sorted(self.index), indent=1).encode())
        return self.report

    # ---- the three kinds
    def _authority(self, ca: dict[str, Any], days: int) -> Authority:
        name = f"ca/{ca['name']}"
        if ca.get("certificate"):
            return self._user_authority(name, ca)
        certificate = self._certificate(name)
        if certificate is not None:
            if certificate.not_valid_after_utc < self.now:
                raise PkiError(f"the CA {self.folder / name}.crt expired on {certificate.not_valid_after_utc:%Y-%m-%d}; a CA is never replaced silently, since nothing would trust its successor: use `rotate_certificates`")
            self.report.seen(name, certificate)
            key = self._private_key(name)
            self._must_match(name, certificate, key)
            return Authority(certificate, key)
        if name in self.index:
            raise PkiError(f"the CA {self.folder / name}.crt was issued once and is gone; put the state folder back from its backup. (To start over with an empty cluster, remove {self.folder}.)")
        certificate, key = new_authority(ca["cn"], days, self.now)
        self._save(name, certificate, key, "it is new", self.passphrase)
        return Authority(certificate, key)

    def _user_authority(self, name: str, ca: dict[str, Any]) -> Authority:
        """A CA that the user brings: checked, then kept like our own."""
        certificate = x509.load_pem_x509_certificate(self._read_user(ca["certificate"]))
        key = self._load_key(self._read_user(ca["key"]), ca["key"])
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            raise PkiError(f"{ca['certificate']} is not the certificate of a CA (basicConstraints)")
        if certificate.not_valid_after_utc < self.now:
            raise PkiError(f"the CA {ca['certificate']} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        self._must_match(ca["certificate"], certificate, key)
        kept = self._certificate(name)
        if kept is not None and kept != certificate:
            raise PkiError(f"{ca['certificate']} is not the CA that this cluster was made with ({self.folder / name}.crt): use `rotate_certificates` to change it")
        if kept is None:
            self._save(name, certificate, key, "it is the user's own", self.passphrase)
        self.report.seen(name, certificate)
        return Authority(certificate, key)

    def _leaf(self, wanted: Wanted, authority: Authority, days: int) -> None:
        name = f"certs/{wanted.name}"
        certificate = self._certificate(name)
        key = self._private_key(name, encrypted=False)
        if certificate is None or key is None:
            reason = "it is new" if certificate is None else "its key is missing"
        else:
            reason = reason_to_issue(wanted, certificate, key, authority, self.now)
        if reason:
            certificate, key = new_leaf(wanted, authority, days, self.now)
            self._save(name, certificate, key, reason)
        if certificate is not None:
            self.report.seen(name, certificate)

    def _key(self, wanted: dict[str, str]) -> None:
        """Keys that are never replaced: losing one loses what it protects."""
        pair = wanted["type"] == "pair"
        name = f"keys/{wanted['name']}" + (".key" if pair else "")
        if (self.folder / name).exists():
            return
        if name in self.index:
            raise PkiError(f"the key {self.folder / name} was made once and is gone; put it back from the backup of the state folder: a new one could not read what the old one protects")
        if pair:
            key = new_key()
            self._write(name, _pem(key))
            self._write(f"keys/{wanted['name']}.pub", key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        else:
            self._write(name, base64.b64encode(secrets.token_bytes(32)))
        self._issued(name, "it is new", None)

    # ---- files
    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two runs at once would each issue a CA; the second waits."""
        if self.check and not self.folder.exists():
            yield
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(self.folder / ".lock", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _index(self) -> list[str]:
        try:
            return list(json.loads((self.folder / "index.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []

    def _certificate(self, name: str) -> x509.Certificate | None:
        path = self.folder / f"{name}.crt"
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            if name.startswith("ca/"):
                raise PkiError(f"{path} is not a certificate ({error}); put it back from the backup of the state folder") from error
            return None

    def _private_key(self, name: str, encrypted: bool = True) -> PrivateKey | None:
        path = self.folder / f"{name}.key"
        try:
            return self._load_key(path.read_bytes(), str(path), encrypted)
        except FileNotFoundError:
            return None

    def _load_key(self, data: bytes, path: str, encrypted: bool = True) -> PrivateKey:
        protected = b"ENCRYPTED" in data.splitlines()[0] if data else False
        if protected and not (encrypted and self.passphrase):
            raise PkiError(f"{path} is encrypted: set `pki_ca_passphrase`")
        try:
            return serialization.load_pem_private_key(data, self.passphrase if protected else None)  # type: ignore[return-value]
        except ValueError as error:
            raise PkiError(f"{path} cannot be read: {'the passphrase in `pki_ca_passphrase` is wrong' if protected else error}") from error

    def _read_user(self, path: str) -> bytes:
        try:
            return Path(path).expanduser().read_bytes()
        except OSError as error:
            raise PkiError(f"{path}, named in `pki_user_cas`: {error.strerror}") from error

    def _must_match(self, name: str, certificate: x509.Certificate, key: PrivateKey | None) -> None:
        der = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if key is not None and public_bytes(key) != der:
            raise PkiError(f"the key of the CA {name} does not belong to its certificate; put both back from the backup of the state folder")

    def _save(self, name: str, certificate: x509.Certificate, key: PrivateKey, reason: str, passphrase: bytes | None = None) -> None:
        # The key first: a certificate without its key is issued again by the next run.
        self._write(f"{name}.key", _pem(key, passphrase))
        self._write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        self._issued(name, reason, certificate)

    def _issued(self, name: str, reason: str, certificate: x509.Certificate | None) -> None:
        self.index.add(name)
        until = certificate.not_valid_after_utc.strftime("%Y-%m-%d") if certificate else ""
        self.report.issued.append({"name": name, "reason": reason, "not_after": until})

    def _write(self, name: str, content: bytes) -> None:
        if self.check:
            return
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
        temporary.replace(path)


def _pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
