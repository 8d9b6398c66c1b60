# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of the status page's program need: settings, files that are whole, times in words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

SETTINGS = "/etc/status-page/settings.json"
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Settings:
    """/etc/status-page/settings.json, which roles/status_page writes; the paths are fixed but for tests."""

    cluster: str
    host: str
    hosts: list[dict[str, Any]]
    links: list[dict[str, str]]
    backups: bool
    versions: dict[str, str]
    prometheus: str = "https://127.0.0.1:9090"
    tls: dict[str, str] = field(
        default_factory=lambda: {
            "ca": "/etc/kubernetes/pki/outside-ca.crt",
            "cert": "/etc/status-page/client.crt",
            "key": "/etc/status-page/client.key",
        }
    )
    data: str = "/var/lib/status-page"
    records: str = "/var/lib/backup"
    docs: str = "/usr/local/share/selfhosted-kubernetes/docs"

    @property
    def www(self) -> Path:
        """What nginx shows."""
        return Path(self.data) / "www"


def load(path: str = SETTINGS) -> Settings:
    """Settings of this host."""
    return Settings(**json.loads(Path(path).read_text(encoding="utf-8")))


def write(path: Path, text: str) -> None:
    """Replace a file, so that there is always the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def moment(seconds: float) -> str:
    """A time as it stands on the page."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def span(seconds: float) -> str:
    """A duration in its largest unit: 3 min."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(number: float) -> str:
    """Bytes for people: 4.2 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
