# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An outside host in a folder: its settings, and an etcd of scripts; restic is the real one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import Settings

UID = "0b6b5d4a-7d0f-4a3c-9f59-0d9a1c0c2f6e"
KEYS = [
    "/registry/apiextensions.k8s.io/customresourcedefinitions/lamps.example.org",
    "/registry/example.org/lamps/shop/desk",
    "/registry/pods/shop/web-1",
    "/registry/secrets/kube-system/backup-canary",
    "/registry/services/endpoints/shop/web",
    "/registry/services/specs/shop/web",
]
STATUS = {"hash": 1, "revision": 7, "totalKey": 6, "totalSize": 1024, "version": "3.7.0"}
# The first endpoint that is asked is dead where there is a file `dead`; what it saves is `database`.
ETCDCTL = """#!/bin/sh
cd {folder}
case "$*" in
    *m1*endpoint*health*) [ ! -e dead ] || {{ echo 'Error: unhealthy cluster' >&2; exit 1; }} ;;
    *endpoint*health*) [ ! -e gone ] || {{ echo 'Error: unhealthy cluster' >&2; exit 1; }} ;;
    *snapshot*save*) for part; do :; done; cp database "$part" ;;
    *keys-only*) cat keys ;;
    *print-value-only*) printf 'kube-system\\022\\000\\032\\000"\\000*$%s' {uid} ;;
esac
"""
ETCDUTL = """#!/bin/sh
cat {folder}/status
"""
KUBECTL = """#!/bin/sh
cd {folder}
[ ! -e no-api ] || {{ echo 'Unable to connect to the server' >&2; exit 1; }}
case "$*" in
    *get*) cat -- "$(printf %s "${{*##* get }}" | tr -c 'a-z\n' -)" ;;
    *) cat >planted ;;
esac
"""


class Host:
    """What is on it, and what of it breaks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "etc", "data", "drill", "metrics"):
            (folder / name).mkdir()
        for name, text in (("etcdctl", ETCDCTL), ("etcdutl", ETCDUTL), ("kubectl", KUBECTL)):
            path = folder / "bin" / name
            path.write_text(text.format(folder=folder, uid=UID), encoding="ascii")
            path.chmod(0o755)
        (folder / "etc/password").write_text("correct-horse-battery\n", encoding="ascii")
        (folder / "etc/encryption.yaml").write_text("the key\n", encoding="ascii")
        (folder / "keys").write_text("\n\n".join(KEYS) + "\n", encoding="ascii")
        (folder / "status").write_text(json.dumps(STATUS), encoding="ascii")
        self.database(b"x" * 1024)
        self.settings = Settings(
            cluster="lab",
            host="o1",
            etcd=["https://m1:2379", "https://m2:2379"],
            repository=str(folder / "data/repository"),
            targets=[],
            keep={"hourly": 24, "daily": 0, "weekly": 0, "monthly": 0},
            paths=[str(folder / "etc/encryption.yaml")],
            service_network="10.96.0.0/16",
            metrics=str(folder / "metrics"),
            config=str(folder / "etc"),
            data=str(folder / "data"),
            drill=str(folder / "drill"),
            programs=str(folder / "bin"),
        )

    def database(self, content: bytes) -> None:
        """What the members save, with its hash behind it."""
        (self.folder / "database").write_bytes(content + hashlib.sha256(content).digest())

    def breaks(self, name: str) -> None:
        """From now on."""
        (self.folder / name).touch()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One that nothing was done on."""
    return Host(tmp_path)
