# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every CA, certificate and key of a cluster: read what is there, decide what is needed, issue it, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509

from .authority import have_authority
from .certificate import (
    Authority,
    PkiError,
    PrivateKey,
    Wanted,
    load_key,
    new_leaf,
    pem,
    reason_to_issue,
    safe_name,
    utc_now,
)
from .desk import BACKUP, Desk, Issued, Report
from .folder import Folder
from .keys import have_key
from .rotation import LEAFS, Rotation

INDEX = "index.json"


class Store:
    """The folder with `ca/`, `certs/`, `keys/`, and `index.json` that seals what was ever made."""

    def __init__(
        self, folder: str, passphrase: str = "", check: bool = False, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.folder = Folder(folder, check)
        self.passphrase = passphrase
        self.now = clock()

    def run(
        self,
        cas: Sequence[Mapping[str, Any]],
        certificates: Sequence[Wanted],
        keys: Sequence[Mapping[str, str]],
        days: Mapping[str, int],
        rotate: Mapping[str, str] | None = None,
    ) -> Report:
        """Have all that is wanted; `days` has the lives of `ca` and `leaf`, `rotate` a phase and of what."""
        _check_days(days)
        _check_names([*(f"ca/{ca['name']}" for ca in cas), *(f"certs/{wanted.name}" for wanted in certificates)])
        known = [LEAFS, *(f"ca/{ca['name']}" for ca in cas), *(f"keys/{key['name']}" for key in keys)]
        if rotate and rotate["what"] not in known:
            raise PkiError(f"there is no `{rotate['what']}` to rotate, only {', '.join(known)}")
        try:
            with self.folder.locked():
                return self._run(cas, certificates, keys, days, rotate)
        except OSError as error:
            raise PkiError(f"{error.filename or self.folder.path}: {error.strerror}") from error

    def _run(
        self,
        cas: Sequence[Mapping[str, Any]],
        certificates: Sequence[Wanted],
        keys: Sequence[Mapping[str, str]],
        days: Mapping[str, int],
        rotate: Mapping[str, str] | None,
    ) -> Report:
        sealed = self._read_index()
        rotation = Rotation(self.folder, self.now, rotate)
        desk = Desk(self.folder, self.passphrase, self.now, rotation, set(sealed), Report())
        try:
            authorities = {ca["name"]: have_authority(desk, ca, days) for ca in cas}
            renew_before = rotation.renew_before()
            for wanted in certificates:
                if wanted.ca not in authorities:
                    raise PkiError(f"certificate `{wanted.name}`: no CA is called `{wanted.ca}`")
                _leaf(desk, wanted, authorities[wanted.ca], days["leaf"], renew_before)
            for key in keys:
                have_key(desk, safe_name(key["name"]), key["type"])
            rotation.end(desk.positions)
            desk.report.rotated = rotation.steps
            desk.report.repaired += self.folder.tighten()
        finally:
            # Also after an error: what was made so far must not be taken for something new later.
            if desk.index != sealed:
                self.folder.write(INDEX, json.dumps(sorted(desk.index), indent=1).encode() + b"\n", durable=True)
        return desk.report

    def _read_index(self) -> set[str]:
        data = self.folder.read(INDEX)
        try:
            return set(json.loads(data)) if data is not None else set()
        except (ValueError, TypeError) as error:
            raise PkiError(f"{self.folder.path / INDEX} is damaged: {BACKUP}") from error


def _leaf(desk: Desk, wanted: Wanted, authority: Authority, days: int, renew_before: datetime | None) -> None:
    name = f"certs/{wanted.name}"
    certificate, key, reason = _read_leaf(desk, name)
    if certificate is not None and key is not None:
        reason = reason_to_issue(wanted, certificate, key, authority, desk.now)
        if not reason and renew_before and certificate.not_valid_before_utc < renew_before:
            reason = "all certificates are rotated"
    if reason:
        old = certificate
        certificate, key = new_leaf(wanted, authority, days, desk.now)
        # The key first: a certificate whose key is not its own is issued again by the next run.
        desk.folder.write(f"{name}.key", pem(key))
        desk.write_certificates(name, [certificate])
        desk.report.issued.append(Issued(name, reason, certificate, old))
    if certificate is not None:
        desk.index.add(name)
        desk.report.seen(name, certificate)


def _read_leaf(desk: Desk, name: str) -> tuple[x509.Certificate | None, PrivateKey | None, str]:
    """Certificate and key as far as they can be read, and why one of them cannot."""
    certificate, key, reason = None, None, ""
    data = desk.folder.read(f"{name}.key")
    if data is None:
        reason = "its key is missing"
    else:
        try:
            key = load_key(data, name)
        except PkiError:
            reason = "its key cannot be read"
    data = desk.folder.read(f"{name}.crt")
    if data is None:
        return None, key, "it is missing" if name in desk.index else "it is new"
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError:
        reason = "it cannot be read"
    return certificate, key, reason


def _check_days(days: Mapping[str, int]) -> None:
    if not 1 <= days["leaf"] <= 365:
        raise PkiError(f"pki_certificate_days is {days['leaf']}: set it to 1 to 365")
    if days["ca"] < days["leaf"]:
        raise PkiError(f"pki_ca_days is {days['ca']}: set it to at least pki_certificate_days, {days['leaf']}")


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise PkiError(f"named twice: {', '.join(twice)}")
