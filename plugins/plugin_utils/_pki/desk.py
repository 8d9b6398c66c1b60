# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all that is made in one run has in common: the folder, the clock, the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .folder import Folder
from .rotation import Rotation

BACKUP = "put it back from the backup of the state folder"


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
    rotated: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    first: tuple[datetime, str] | None = None

    def seen(self, name: str, certificate: x509.Certificate) -> None:
        """Remember the certificate that expires first."""
        candidate = (certificate.not_valid_after_utc, name)
        self.first = min(self.first, candidate) if self.first else candidate


@dataclass
class Desk:
    """One run's; `index` has what was ever made, `positions` how far rotations are."""

    folder: Folder
    passphrase: str
    now: datetime
    rotation: Rotation
    index: set[str]
    report: Report
    positions: dict[str, int] = field(default_factory=dict)

    def write_certificates(self, name: str, certificates: Sequence[x509.Certificate], durable: bool = False) -> None:
        """One file, the first certificate being the one in use."""
        content = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)
        self.folder.write(f"{name}.crt", content, durable)
