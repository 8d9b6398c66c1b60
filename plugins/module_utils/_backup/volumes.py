# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of claims that are marked for it: saved from one snapshot of the shared file system, and put back."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .common import BackupError, Settings, alone, last_success, publish, record, run, write
from .repository import Repository, moment, pick, shown
from .saving import copy, kubectl, target_metrics

# Of a claim, with the value true.
MARK = "storage.selfhosted.kubernetes/backup"
TAG, RUNS = "volumes", "volume-runs"
CANARY, MANIFEST = ".backup-canary", "volumes.json"
QUOTA = "ceph.quota.max_bytes"
MOUNT_SECONDS, UNMOUNT_SECONDS = 60, 10


def own(settings: Settings) -> Settings:
    """Their repository is another one: who saves them for hours would keep backups of etcd from removing old ones."""
    targets = [f"{it.rstrip('/')}/volumes" for it in settings.targets]
    return replace(settings, repository=f"{settings.data}/volumes", targets=targets)


def saved(settings: Settings) -> Repository:
    """What there is to look into."""
    there = own(settings)
    if not (Path(there.repository) / "config").exists():
        raise BackupError(
            "no volume was saved yet: `systemctl start backup-volumes`, then `journalctl -u backup-volumes`"
        )
    return Repository(there)


def get(settings: Settings, *words: str) -> dict[str, Any]:
    """Objects, as the API says them."""
    answer: dict[str, Any] = json.loads(kubectl(settings, "--output=json", "get", *words))
    return answer


def marked(settings: Settings) -> dict[str, str]:
    """The volume of each claim (NAMESPACE/NAME) that is to be saved; those of last time where no API server answers."""
    try:
        found = get(settings, "persistentvolumeclaims", "--all-namespaces", f"--selector={MARK}=true")
    except BackupError:
        path = Path(settings.data) / MANIFEST
        known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["volumes"] if path.exists() else {}
        return known
    claims = ((it["metadata"], it["spec"].get("volumeName")) for it in found["items"])
    return {f"{claim['namespace']}/{claim['name']}": volume for claim, volume in claims if volume}


def is_mounted(root: Path) -> bool:
    """Asked of the kernel and not of the file system, which may not answer."""
    return any(line.split()[4] == str(root) for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines())


@contextmanager
def mounted(settings: Settings) -> Iterator[Path]:
    """The shared file system, for as long as it is needed."""
    root = Path(settings.file_system)
    unmount(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = [f"--conf={settings.config}/ceph.conf", f"--keyring={settings.config}/ceph.keyring"]
    with subprocess.Popen(["ceph-fuse", "-f", *words, f"--name=client.backup-{settings.host}", str(root)]) as client:
        try:
            deadline = time.monotonic() + MOUNT_SECONDS
            while not is_mounted(root):
                if client.poll() is not None or time.monotonic() > deadline:
                    raise BackupError(f"the shared file system was not mounted within {MOUNT_SECONDS} s: `ceph health`")
                time.sleep(0.1)
            yield root
        finally:
            unmount(root)
            client.terminate()
            # One whose storage does not answer waits for it.
            with suppress(subprocess.TimeoutExpired):
                client.wait(UNMOUNT_SECONDS)
            client.kill()


def unmount(root: Path) -> None:
    """Also what a run that was killed left behind."""
    subprocess.run(["umount", "--lazy", str(root)], capture_output=True, check=False)


@contextmanager
def frozen(settings: Settings, root: Path) -> Iterator[Path]:
    """All volumes as they were at one moment; elsewhere, since what has .snap in its path cannot be put back."""
    snapshot, there = root / ".snap" / f"backup-{settings.host}", Path(settings.data) / "frozen"
    unmount(there)
    if snapshot.exists():
        # Of a run that was killed.
        snapshot.rmdir()
    snapshot.mkdir()
    try:
        there.mkdir(mode=0o700, exist_ok=True)
        run(["mount", "--bind", str(snapshot), str(there)])
        yield there
    finally:
        unmount(there)
        snapshot.rmdir()


def save(settings: Settings, repository: Repository, entry: dict[str, Any]) -> None:
    """One snapshot of what is marked, with a canary that no other backup has."""
    wanted = marked(settings)
    with mounted(settings) as root:
        song = secrets.token_hex(32)
        write(root / CANARY, song, 0o600)
        with frozen(settings, root) as then:
            volumes = {claim: volume for claim, volume in wanted.items() if (then / volume).is_dir()}
            for claim in sorted(wanted.keys() - volumes.keys()):
                entry["errors"].append(f"claim {claim}: its volume {wanted[claim]} is not on the shared file system")
            manifest = Path(settings.data) / MANIFEST
            canary = hashlib.sha256(song.encode()).hexdigest()
            write(manifest, json.dumps({"folder": str(then), "volumes": volumes, "canary": canary}) + "\n", 0o600)
            paths = [str(manifest), str(then / CANARY), *(str(then / it) for it in sorted(volumes.values()))]
            # A snapshot shows other inode numbers each time.
            summary = repository.save(paths, TAG, "--ignore-inode")
    entry.update(id=summary["snapshot_id"], added_bytes=summary["data_added"], bytes=summary["total_bytes_processed"])
    entry.update(volumes=sorted(volumes), result="success")


def back_up_volumes(settings: Settings) -> dict[str, Any]:
    """One run; returns its record."""
    began = time.time()
    entry: dict[str, Any] = {"time": began, "result": "failed", "errors": [], "targets": {}, "volumes": []}
    with alone(settings, TAG):
        there = own(settings)
        repository = Repository(there)
        try:
            repository.open()
            save(settings, repository, entry)
            repository.forget()
        except (BackupError, OSError, ValueError) as error:
            entry["errors"].append(str(error))
        for target in there.targets if entry["result"] == "success" else ():
            entry["targets"][shown(target)] = copy(there, target, entry["errors"])
        entry.update(seconds=round(time.time() - began, 1), repository_bytes=repository.size())
        record(settings, RUNS, entry)
        publish(settings, "selfhosted_backup_volumes", metrics(settings, entry))
    return entry


def metrics(settings: Settings, entry: dict[str, Any]) -> dict[str, tuple[str, float]]:
    """How the last run ended, and when one last ended well."""
    good, name = last_success(settings, RUNS), "selfhosted_backup_volumes"
    return {
        f"{name}_last_success_timestamp_seconds": ("When volumes were saved last.", good.get("time", 0.0)),
        f"{name}_last_run_success": ("Whether all were, and are everywhere.", float(not entry["errors"])),
        f"{name}_duration_seconds": ("How long it took.", entry["seconds"]),
        f"{name}_saved": ("Volumes in the last backup of them.", float(len(good.get("volumes", [])))),
        f"{name}_bytes": ("What is in them.", good.get("bytes", 0)),
        f"{name}_repository_bytes": ("Size of their repository on this host.", entry["repository_bytes"]),
        **target_metrics(name, entry["targets"]),
    }


def manifest_of(repository: Repository, settings: Settings, identity: str) -> dict[str, Any]:
    """What a backup of volumes says of itself."""
    manifest: dict[str, Any] = json.loads(repository.restic("dump", identity, f"{settings.data}/{MANIFEST}"))
    return manifest


def files_of(repository: Repository, identity: str, path: str) -> tuple[int, int]:
    """How many files there are below a path, and their bytes."""
    nodes = [json.loads(line) for line in repository.restic("ls", "--json", "--recursive", identity, path).splitlines()]
    sizes = [it.get("size", 0) for it in nodes if it.get("type") == "file"]
    return len(sizes), sum(sizes)


def chosen(settings: Settings, claim: str, wanted: str) -> dict[str, Any]:
    """The backup that is meant, and where the claim's files are in it."""
    repository = saved(settings)
    snapshot = pick(repository.snapshots(TAG), wanted, "backup of volumes")
    manifest = manifest_of(repository, settings, snapshot["id"])
    if claim not in manifest["volumes"]:
        there = ", ".join(sorted(manifest["volumes"])) or "none"
        raise BackupError(f"claim {claim} is not in the backup of {snapshot['time'][:16]}; in it are: {there}")
    return {
        "id": snapshot["id"],
        "saved": snapshot["time"],
        "path": f"{manifest['folder']}/{manifest['volumes'][claim]}",
    }


def look(settings: Settings, claim: str, wanted: str) -> dict[str, Any]:
    """What is saved of a claim's volume."""
    backup = chosen(settings, claim, wanted)
    files, size = files_of(saved(settings), backup["id"], backup["path"])
    return {"claim": claim, "id": backup["id"], "saved": backup["saved"], "files": files, "bytes": size}


def claims_of(pod: dict[str, Any]) -> list[str]:
    """Claims that a pod uses, none when it has ended."""
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    volumes = [] if ended else pod["spec"].get("volumes", [])
    return [it["persistentVolumeClaim"]["claimName"] for it in volumes if "persistentVolumeClaim" in it]


def volume_of(settings: Settings, claim: str) -> str:
    """The volume that a claim has now, which nobody may use while it is replaced."""
    namespace, _, name = claim.partition("/")
    if not name:
        raise BackupError(f"`volume/{claim}` names no claim: write volume/NAMESPACE/NAME")
    found = get(settings, f"--namespace={namespace}", f"persistentvolumeclaims/{name}")
    pods = get(settings, f"--namespace={namespace}", "pods")["items"]
    users = [it["metadata"]["name"] for it in pods if name in claims_of(it)]
    if users:
        fix = "scale what made them to 0, and up afterwards"
        raise BackupError(f"claim {claim} is in use by {', '.join(users)}: {fix}")
    volume: str = found["spec"].get("volumeName", "")
    if not volume:
        raise BackupError(f"claim {claim} has no volume yet: `kubectl why pvc/{name} --namespace {namespace}`")
    return volume


def put_back(settings: Settings, claim: str, wanted: str) -> dict[str, Any]:
    """A claim's volume as it was. What it had before the first try stays beside it."""
    with alone(settings, TAG):
        backup, volume = chosen(settings, claim, wanted), volume_of(settings, claim)
        with mounted(settings) as root:
            there, before, part = (root / f"{prefix}{volume}" for prefix in ("", ".before-restore-", ".restore-"))
            if not (there.is_dir() or before.is_dir()):
                raise BackupError(f"claim {claim}: its volume {volume} is not on the shared file system")
            shutil.rmtree(part, ignore_errors=True)
            found = saved(settings).extract(backup["id"], part, backup["path"]) / backup["path"].lstrip("/")
            with suppress(OSError):  # It has none.
                os.setxattr(found, QUOTA, os.getxattr(there if there.is_dir() else before, QUOTA))
            if not before.is_dir():
                there.rename(before)
            elif there.is_dir():
                shutil.rmtree(there)
            found.rename(there)
            shutil.rmtree(part)
    said = f"what it had before is in {before.name} of the shared file system: remove it when all is well"
    return {"claim": claim, "id": backup["id"], "saved": backup["saved"], "volume": volume, "kept": said}


def rehearse(settings: Settings, folder: Path) -> dict[str, Any]:
    """The canary and one volume, whose turn it is, out of the newest backup; raises where anything differs."""
    repository = saved(settings)
    newest = pick(repository.snapshots(TAG), "latest", "backup of volumes")
    manifest = manifest_of(repository, settings, newest["id"])
    part, then = folder / "volume", manifest["folder"]
    canary = repository.extract(newest["id"], part, f"{then}/{CANARY}") / then.lstrip("/") / CANARY
    if hashlib.sha256(canary.read_bytes()).hexdigest() != manifest["canary"]:
        raise BackupError("the canary of the shared file system is not the one that was saved")
    seen = {"volume": "", "volume_age_seconds": round(time.time() - moment(newest["time"]).timestamp())}
    claims = sorted(manifest["volumes"])
    if claims:
        claim = claims[int(time.time() / 86400) % len(claims)]
        path = f"{then}/{manifest['volumes'][claim]}"
        files, size = files_of(repository, newest["id"], path)
        free = shutil.disk_usage(folder).free
        if size > free / 2:
            raise BackupError(f"volume {claim} of {size >> 20} MiB was not restored: {folder} has {free >> 20} MiB")
        there = repository.extract(newest["id"], part, path, verify=True) / path.lstrip("/")
        found = [it for it in there.rglob("*") if it.is_file() and not it.is_symlink()]
        if (len(found), sum(it.stat().st_size for it in found)) != (files, size):
            raise BackupError(f"volume {claim}: of {files} files with {size} bytes {len(found)} came back")
        seen.update(volume=claim, volume_files=files, volume_bytes=size)
    shutil.rmtree(part)
    return seen
