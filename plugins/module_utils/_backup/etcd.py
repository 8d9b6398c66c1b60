# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of etcd, and what is in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .common import BackupError, Settings, run

PREFIX = "/registry/"
# What `etcdctl` prints for this are the keys of all objects.
KEYS = ["get", PREFIX, "--prefix", "--keys-only"]
# Whoever watches from a revision that the snapshot does not know is told to list again (etcd's disaster recovery).
BUMP = ["--bump-revision=1000000000", "--mark-compacted"]
# `snapshot save` appends the hash of all before it; a database's size is a multiple of its smallest page.
HASH_BYTES, PAGE_BYTES = 32, 512
# The namespace kube-system as API servers store it: name, three empty fields, uid.
UID = re.compile(r"kube-system\x12\x00\x1a\x00\"\x00\*\$([0-9a-f-]{36})")
SECONDS = "--command-timeout=600s"


def kind_and_name(key: str) -> tuple[str, str]:
    """Kind and NAMESPACE/NAME by an object's key: below its group where that has a dot, else by its resource alone."""
    parts = key[len(PREFIX) :].split("/")
    if "." in parts[0] and len(parts) > 1:
        return f"{parts[1]}.{parts[0]}", "/".join(parts[2:])
    if parts[0] == "services" and len(parts) > 1:
        return {"specs": "services"}.get(parts[1], parts[1]), "/".join(parts[2:])
    return parts[0], "/".join(parts[1:])


def count_kinds(keys: Iterable[str]) -> dict[str, int]:
    """Objects by kind."""
    return dict(sorted(Counter(kind_and_name(key)[0] for key in keys).items()))


def keys_of(output: str) -> list[str]:
    """Of what `etcdctl` prints for KEYS: a line each, with empty ones between."""
    return [line for line in output.splitlines() if line.startswith(PREFIX)]


def verify(settings: Settings, path: Path) -> dict[str, Any]:
    """It is whole, and can be read as a database; returns what `etcdutl snapshot status` says."""
    refuse_damaged(path)
    output = run([settings.program("etcdutl"), "--write-out=json", "snapshot", "status", str(path)])
    status: dict[str, Any] = json.loads(output)
    return status


def refuse_damaged(path: Path) -> None:
    """Compare it with its own hash, which `etcdutl snapshot status` does not: it is content with a flipped bit."""
    digest, left = hashlib.sha256(), path.stat().st_size - HASH_BYTES
    if left <= 0 or left % PAGE_BYTES:
        raise BackupError(f"the snapshot is cut off: {left + HASH_BYTES} bytes")
    with path.open("rb") as stream:
        while left:
            block = stream.read(min(left, 1 << 20))
            digest.update(block)
            left -= len(block)
        if stream.read() != digest.digest():
            raise BackupError("the snapshot is damaged: its hash does not fit")


def _listed(complaints: dict[str, str]) -> str:
    return "; ".join(f"{endpoint}: {why}" for endpoint, why in complaints.items())


class Etcd:
    """The cluster's etcd, asked over TLS as the user `backup`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        pki = settings.config
        self.argv = [settings.program("etcdctl"), f"--cacert={pki}/etcd-ca.crt"]
        self.argv += [f"--cert={pki}/etcd-client.crt", f"--key={pki}/etcd-client.key"]

    def ask(self, endpoints: list[str], *words: str) -> str:
        """Output of one command."""
        return run([*self.argv, f"--endpoints={','.join(endpoints)}", *words])

    def healthy(self) -> list[str]:
        """Members that answer and see a leader; each is asked by itself, since one that is dead fails them all."""
        complaints = {endpoint: self._sick(endpoint) for endpoint in self.settings.etcd}
        found = [endpoint for endpoint, why in complaints.items() if not why]
        if not found:
            raise BackupError(f"no member of etcd is healthy: {_listed(complaints)}")
        return found

    def save(self, path: Path) -> tuple[str, dict[str, Any]]:
        """A snapshot that was verified, of the first healthy member that gives one; returns member and status."""
        complaints: dict[str, str] = {}
        for endpoint in self.healthy():
            status = self._save(endpoint, path, complaints)
            if status:
                return endpoint, status
        raise BackupError(f"no member of etcd gave a snapshot that is whole: {_listed(complaints)}")

    def _sick(self, endpoint: str) -> str:
        try:
            self.ask([endpoint], "--command-timeout=5s", "endpoint", "health")
        except BackupError as error:
            return str(error)
        return ""

    def _save(self, endpoint: str, path: Path, complaints: dict[str, str]) -> dict[str, Any]:
        """One attempt, beside the path until it is verified; empty where it is none."""
        part = path.with_name(f".{path.name}.part")
        try:
            self.ask([endpoint], SECONDS, "snapshot", "save", str(part))
            status = verify(self.settings, part)
            part.chmod(0o600)
            part.replace(path)
        except (BackupError, OSError) as error:
            complaints[endpoint] = str(error)
            return {}
        finally:
            part.unlink(missing_ok=True)
            part.with_name(f"{part.name}.part").unlink(missing_ok=True)
        return status

    def keys(self, endpoint: str, revision: int) -> list[str]:
        """Keys of all objects as they were at a revision."""
        return keys_of(self.ask([endpoint], SECONDS, *KEYS, f"--rev={revision}"))

    def uid(self, endpoint: str) -> str:
        """Uid of the namespace kube-system: which cluster this is."""
        value = self.ask([endpoint], "get", "--print-value-only", f"{PREFIX}namespaces/kube-system")
        found = UID.search(value)
        return found[1] if found else ""
