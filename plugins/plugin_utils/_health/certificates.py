# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: when they end, in files of hosts and control node, and as processes serve them now."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import is_authority
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.rotation import RECORDS
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .model import SITE, SITE_THERE, Area, Seen, error, names

# A site run renews in the last third of a certificate's life, so that a warning always finds it willing.
WARNING_DAYS, FAILURE_DAYS = 30, 7
# Nothing renews a CA by itself, and what it signs ends with it.
CA_WARNING_DAYS, CA_FAILURE_DAYS = 180, 30
CONTROL = "control node"


@dataclass(frozen=True)
class Held:
    """A certificate, and where it is."""

    host: str
    place: str
    certificate: x509.Certificate

    @property
    def end(self) -> datetime:
        """When it ends."""
        return self.certificate.not_valid_after_utc

    @property
    def life(self) -> timedelta:
        """From its begin to its end."""
        return self.end - self.certificate.not_valid_before_utc


def certificates(seen: Seen, pki_dir: Path | None, now: datetime) -> Area:
    """All that anybody has or shows."""
    area = Area("certificates")
    held = [*_of_control_node(area, pki_dir), *_of_hosts(area, seen)]
    authorities = [it for it in held if is_authority(it.certificate)]
    leaves = [it for it in held if not is_authority(it.certificate)]
    _judge_leaves(area, leaves, now)
    _judge_authorities(area, authorities, now)
    _judge_rotations(area, pki_dir)
    parts = []
    for kind, them in (("certificate", leaves), ("CA", authorities)):
        if them:
            first = min(them, key=lambda it: it.end)
            parts.append(f"first {kind} ends in {_days(first, now)} days ({first.host}: {first.place})")
            area.figures[f"{kind.lower()}_days"] = _days(first, now)
    area.summary = "; ".join(parts)
    return area


def _of_control_node(area: Area, pki_dir: Path | None) -> Iterator[Held]:
    for path in sorted(pki_dir.glob("c*/**/*.crt")) if pki_dir else ():
        try:
            for certificate in x509.load_pem_x509_certificates(path.read_bytes()):
                yield Held(CONTROL, str(path.relative_to(pki_dir or path)), certificate)
        except (OSError, ValueError) as problem:
            area.fail(CONTROL, f"{path} cannot be read: {problem}", SITE)


def _of_hosts(area: Area, seen: Seen) -> Iterator[Held]:
    for host, observed in seen.hosts.items():
        given = observed["certificates"]
        if why := error(given["files"]):
            area.fail(host, f"files with certificates cannot be read: {why}", SITE_THERE)
            given = {**given, "files": []}
        for it in given["files"]:
            yield Held(host, it["path"], x509.load_der_x509_certificate(base64.b64decode(it["der"])))
        for it in given["served"]:
            owner = observed["components"].get(it.get("component"), {})
            look = f"on {{hosts}}: journalctl -u {owner.get('unit')} -n 50"
            if why := error(it) or it.get("complaint"):
                # One that does not run serves nothing, and was named already.
                if owner.get("active") == "active" and not owner["complaint"]:
                    area.fail(host, f"{it['component']} at {it['address']} serves no certificate: {why}", look)
                continue
            yield Held(host, f"served at {it['address']}", x509.load_der_x509_certificate(base64.b64decode(it["der"])))
            files = {file["der"] for file in given["files"] if it["component"] in file["components"]}
            if files and it["der"] not in files:
                what = f"{it['component']} at {it['address']} serves a certificate that is in none of its files"
                area.warn(host, what, f"on {{hosts}}: systemctl restart {owner.get('unit')}")


def _judge_leaves(area: Area, leaves: list[Held], now: datetime) -> None:
    """One finding for a host, whatever the number of its certificates."""
    found: dict[tuple[str, str], list[Held]] = defaultdict(list)
    for it in leaves:
        left = it.end - now
        if left < min(timedelta(days=FAILURE_DAYS), it.life / 12):
            found["failure", it.host].append(it)
        elif left < min(timedelta(days=WARNING_DAYS), it.life / 3):
            found["warning", it.host].append(it)
        elif it.certificate.not_valid_before_utc > now:
            area.fail(it.host, f"{it.place} is not valid before {it.certificate.not_valid_before_utc}", "check clocks")
    for (level, host), them in found.items():
        them.sort(key=lambda it: it.end)
        listed = names([f"{it.place} {_ends(it, now)}" for it in them], 3)
        todo = SITE if host == CONTROL else SITE_THERE
        (area.fail if level == "failure" else area.warn)(host, listed, f"{todo} renews and installs")


def _judge_authorities(area: Area, authorities: list[Held], now: datetime) -> None:
    """A CA is everywhere: one finding for it."""
    once: dict[bytes, list[Held]] = defaultdict(list)
    for it in authorities:
        once[it.certificate.public_bytes(serialization.Encoding.DER)].append(it)
    for them in once.values():
        hosts = tuple(dict.fromkeys(it.host for it in them))
        what = f"CA {them[0].certificate.subject.rfc4514_string()} ({them[0].place}) {_ends(them[0], now)}"
        days = _days(them[0], now)
        if days < CA_WARNING_DAYS:
            report = area.fail if days < CA_FAILURE_DAYS else area.warn
            name = Path(them[0].place).stem if them[0].host == CONTROL else "…"
            report(hosts, what, f"rotate_certificates.yml -e rotate_ca={name}: docs/operations/rotate-certificates.md")


def _judge_rotations(area: Area, pki_dir: Path | None) -> None:
    """One that was interrupted is safe, but for its purpose: the old one is trusted still."""
    file = pki_dir / RECORDS if pki_dir else None
    try:
        begun = sorted(json.loads(file.read_bytes())) if file and file.is_file() else []
    except (OSError, ValueError) as problem:
        area.fail(CONTROL, f"{file} cannot be read: {problem}", "put it back from the backup of the state folder")
        return
    if begun:
        todo = "rotate_certificates.yml with the same variables: docs/operations/rotate-certificates.md"
        area.warn(CONTROL, f"a rotation has begun and not ended: {names(begun)}", todo)


def _days(it: Held, now: datetime) -> int:
    return (it.end - now).days


def _ends(it: Held, now: datetime) -> str:
    days = _days(it, now)
    return f"ENDED on {it.end:%Y-%m-%d %H:%M} UTC" if it.end <= now else f"ends in {days} day{'s' * (days != 1)}"
