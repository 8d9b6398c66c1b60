# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of keys and certificates, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import Wanted
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.desk import Report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.store import Store

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CAS = [{"name": "kubernetes", "cn": "kubernetes-ca"}, {"name": "etcd", "cn": "etcd-ca"}]
CERTIFICATES = [
    {
        "name": "m1/etcd-server",
        "ca": "etcd",
        "cn": "m1",
        "usages": ["server", "client"],
        "dns": ["m1", "localhost"],
        "ip": ["10.0.0.11", "::1"],
    },
    {"name": "admin", "ca": "kubernetes", "cn": "kubernetes-admin", "o": ["system:masters"], "usages": ["client"]},
]
KEYS = [{"name": "sa", "type": "pair"}, {"name": "encryption-key", "type": "random"}]


@pytest.fixture
def now() -> datetime:
    """When a cluster is made."""
    return NOW


@pytest.fixture
def wanted() -> dict[str, Any]:
    """Arguments of a small cluster, for a test to change."""
    return {
        "cas": [dict(ca) for ca in CAS],
        "certificates": [dict(item) for item in CERTIFICATES],
        "keys": [dict(key) for key in KEYS],
        "days": {"ca": 3650, "leaf": 360},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it all goes; not there yet."""
    return tmp_path / "state" / "pki"


@pytest.fixture
def run(folder: Path, wanted: dict[str, Any]) -> Callable[..., Report]:
    """One run with what is wanted, at a time, perhaps with a passphrase, in check mode, or a phase of a rotation."""

    def once(at: datetime = NOW, passphrase: str = "", check: bool = False, rotate: str = "") -> Report:
        certificates = [Wanted.of(item) for item in wanted["certificates"]]
        store = Store(str(folder), passphrase, check, clock=lambda: at)
        asked = dict(zip(("what", "phase"), rotate.split(), strict=True)) if rotate else None
        return store.run(wanted["cas"], certificates, wanted["keys"], wanted["days"], asked)

    return once


@pytest.fixture
def snapshot(folder: Path) -> Callable[[], dict[str, bytes]]:
    """Every file with its content."""

    def now_there() -> dict[str, bytes]:
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return now_there
