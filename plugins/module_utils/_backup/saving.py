# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup, from a canary in the cluster to the copy elsewhere."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from .blocks import linked
from .common import BackupError, Settings, alone, labelled, last_success, publish, record, run, write
from .etcd import Etcd, count_kinds, verify
from .repository import WITH_ETCD, Repository, moment, shown

DATABASE, OBJECTS, MANIFEST = "etcd.db", "objects.txt", "manifest.json"
# A secret: what reads it back needs the key with which API servers encrypt.
CANARY = {"namespace": "kube-system", "name": "backup-canary"}
KUBECONFIG = "/etc/kubernetes/admin.conf"
FILES_ONLY = "files"


def plant(settings: Settings) -> str:
    """Write a canary that no other backup has; the hash of its content, empty where no API server takes it."""
    song = secrets.token_hex(32)
    canary = {"apiVersion": "v1", "kind": "Secret", "metadata": CANARY, "stringData": {"song": song}}
    try:
        apply(settings, canary)
    except BackupError:
        return ""
    return hashlib.sha256(song.encode()).hexdigest()


def apply(settings: Settings, document: dict[str, Any]) -> str:
    """Write an object, or a list of them, into the cluster; returns kubectl's words."""
    words = ["apply", "--server-side", "--force-conflicts", "--field-manager=backup", "--filename=-"]
    return kubectl(settings, *words, given=json.dumps(document))


def kubectl(settings: Settings, *words: str, given: str | None = None) -> str:
    """Output of kubectl as an administrator; without an API server it ends soon."""
    argv = [settings.program("kubectl"), f"--kubeconfig={KUBECONFIG}", "--request-timeout=10s"]
    return run([*argv, *words], given=given)


def stage(settings: Settings) -> dict[str, Any]:
    """A verified snapshot of etcd with the list of its objects; returns what the manifest says of it."""
    settings.staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.staging / MANIFEST).unlink(missing_ok=True)
    etcd = Etcd(settings)
    canary = plant(settings)
    member, status = etcd.save(settings.staging / DATABASE)
    keys = etcd.keys(member, status["revision"])
    write(settings.staging / OBJECTS, "".join(f"{key}\n" for key in keys), 0o600)
    manifest = {
        "cluster": settings.cluster,
        "uid": etcd.uid(member),
        "time": time.time(),
        "member": member,
        "status": status,
        "objects": count_kinds(keys),
        "canary": canary,
    }
    write(settings.staging / MANIFEST, json.dumps(manifest) + "\n", 0o600)
    return manifest


def back_up(settings: Settings) -> dict[str, Any]:
    """One run; returns its record. Without etcd the rest is saved all the same, and the run has failed."""
    began = time.time()
    entry: dict[str, Any] = {"time": began, "result": "failed", "errors": [], "targets": {}}
    with alone(settings, "run"):
        repository = Repository(settings)
        paths, tag = [str(settings.staging), *settings.paths], WITH_ETCD
        try:
            manifest = stage(settings)
            entry.update(revision=manifest["status"]["revision"], objects=sum(manifest["objects"].values()))
            entry["snapshot_bytes"] = (settings.staging / DATABASE).stat().st_size
        except (BackupError, OSError) as error:
            entry["errors"].append(str(error))
            paths, tag = settings.paths, FILES_ONLY
        try:
            blocks = [str(linked(Path(settings.prometheus)))] if settings.prometheus else []
        except (BackupError, OSError) as error:
            entry["errors"].append(str(error))
            blocks = []
        try:
            repository.open()
            entry["errors"] += ahead(repository.snapshots(), began)
            # Of a registry: what is not there yet, and what its pull-through caches can have again.
            spare = ["--exclude=_uploads", *(f"--exclude={path}/proxy" for path in paths)]
            summary = repository.save(paths + blocks, tag, *spare)
            entry.update(id=summary["snapshot_id"], added_bytes=summary["data_added"])
            if tag == WITH_ETCD:
                entry["result"] = "success"
            repository.forget()
        except (BackupError, OSError, ValueError) as error:
            entry["errors"].append(str(error))
        for path in blocks:
            # They would keep the space of what Prometheus removes.
            shutil.rmtree(path, ignore_errors=True)
        for target in settings.targets:
            entry["targets"][shown(target)] = copy(settings, target, entry["errors"])
        entry["seconds"] = round(time.time() - began, 1)
        entry["repository_bytes"] = repository.size()
        record(settings, "runs", entry)
        publish(settings, "selfhosted_backup", metrics(settings, entry))
    return entry


def ahead(snapshots: list[dict[str, Any]], now: float) -> list[str]:
    """An error where a backup is newer than now: until its time has come, `latest` is not what was saved last."""
    late = [it for it in snapshots if moment(it["time"]).timestamp() > now]
    if not late:
        return []
    newest = late[-1]
    minutes = math.ceil((moment(newest["time"]).timestamp() - now) / 60)
    name, until = newest["id"][:8], newest["time"][:16]
    fix = f"set it; until {until} name what you restore by its id, `latest` is that one"
    return [f"backup {name} is {minutes} min in the future: this host's clock is behind, or was ahead; {fix}"]


def copy(settings: Settings, target: str, errors: list[str]) -> float:
    """Bring one target up to date; when it was, 0 where it is not."""
    there = Repository(settings, target)
    try:
        there.open()
        there.copy()
        there.forget()
    except BackupError as error:
        errors.append(f"{shown(target)}: {error}")
        return 0.0
    return time.time()


def metrics(settings: Settings, entry: dict[str, Any]) -> dict[str, tuple[str, float]]:
    """How the last run ended, and when one last ended well."""
    good, name = last_success(settings, "runs"), "selfhosted_backup"
    values = {
        f"{name}_last_success_timestamp_seconds": ("When a verified backup was made last.", good.get("time", 0.0)),
        f"{name}_last_run_timestamp_seconds": ("When a backup was tried last.", entry["time"]),
        f"{name}_last_run_success": ("Whether that one was made and is everywhere.", float(not entry["errors"])),
        f"{name}_duration_seconds": ("How long it took.", entry["seconds"]),
        f"{name}_snapshot_bytes": ("Size of the last snapshot of etcd.", good.get("snapshot_bytes", 0)),
        f"{name}_objects": ("Objects in the last snapshot of etcd.", good.get("objects", 0)),
        f"{name}_repository_bytes": ("Size of the repository on this host.", entry["repository_bytes"]),
    }
    return {**values, **target_metrics(name, entry["targets"])}


def target_metrics(name: str, targets: dict[str, float]) -> dict[str, tuple[str, float]]:
    """Whether each target has all."""
    text = "Whether the last run brought this target up to date."
    return {labelled(f"{name}_target_success", "target", it): (text, float(when > 0)) for it, when in targets.items()}


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Backups with etcd in them, the newest first."""
    found = reversed(Repository(settings).snapshots())
    return [{"id": it["id"], "time": moment(it["time"]).strftime("%Y-%m-%dT%H:%M:%SZ")} for it in found]


def fetch(settings: Settings, identity: str, folder: Path) -> dict[str, Any]:
    """The snapshot of etcd out of a backup, verified once more; returns the manifest."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [str(settings.staging / name) for name in (DATABASE, OBJECTS, MANIFEST)]
    Repository(settings).fetch(identity, folder, *paths, f"{settings.config}/encryption.yaml")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    status = verify(settings, folder / DATABASE)
    if status != manifest["status"]:
        raise BackupError(f"the snapshot is not the one that was saved: {status}, not {manifest['status']}")
    return {**manifest, "id": identity}
