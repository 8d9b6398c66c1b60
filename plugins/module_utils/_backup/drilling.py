# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills: the newest backup is served again, away from everything, and compared; and objects out of old backups."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .common import BackupError, Settings, alone, complaint, labelled, last_success, publish, record
from .repository import Repository, moment, pick
from .saving import fetch
from .volumes import rehearse

UNIT, USER = "backup-plane", "backup-drill"
# How many are looked at when the newest is bad.
TRIED = 3
LIMIT_SECONDS = 1800


def isolated(settings: Settings, folder: Path) -> list[str]:
    """A transient unit with a network of its own, a user of its own, and one folder that it may write."""
    properties = {
        "User": USER,
        "PrivateNetwork": "yes",
        "PrivateTmp": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "ReadWritePaths": str(folder),
        # Where production's keys and data are.
        "InaccessiblePaths": f"-/etc/kubernetes {settings.config} {settings.data}",
        "RuntimeMaxSec": str(LIMIT_SECONDS),
        "Nice": "10",
    }
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={UNIT}"]
    unit += [f"--property={name}={value}" for name, value in properties.items()]
    return [*unit, f"--setenv=PYTHONPATH={Path(__file__).resolve().parents[1]}", "/usr/bin/python3", "-m"]


def serve(settings: Settings, folder: Path, what: str) -> dict[str, Any]:
    """Look into the snapshot of a folder; of a plane that was killed nothing is left running."""
    subprocess.run(["systemctl", "stop", f"{UNIT}.service"], capture_output=True, check=False)
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, USER, USER)
    package = __name__.rpartition(".")[0].rpartition(".")[2]
    words = [f"{package}.program", "look", str(folder), settings.service_network, settings.programs, what]
    done = subprocess.run(
        [*isolated(settings, folder), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise BackupError(complaint(done.stderr or done.stdout))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def emptied(settings: Settings) -> Path:
    """The folder of drills, without what an earlier one left."""
    folder = Path(settings.drill)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def newest_good(settings: Settings, wanted: str, folder: Path, bad: list[str]) -> dict[str, Any]:
    """Fetch the one that is wanted, or the newest before it that is whole; those that are not are named in `bad`."""
    snapshots = Repository(settings).snapshots()
    chosen = pick(snapshots, wanted)
    for snapshot in reversed(snapshots[: snapshots.index(chosen) + 1][-TRIED:]):
        if manifest := good(settings, snapshot, folder, bad):
            return manifest
    raise BackupError("; ".join(bad))


def good(settings: Settings, snapshot: dict[str, Any], folder: Path, bad: list[str]) -> dict[str, Any]:
    """The manifest of one that is whole, empty for one that is not."""
    try:
        return {**fetch(settings, snapshot["id"], folder), "saved": moment(snapshot["time"]).timestamp()}
    except (BackupError, OSError, ValueError) as error:
        bad.append(f"backup {snapshot['id'][:8]} of {snapshot['time'][:19]} is bad: {error}")
        emptied(settings)
    return {}


def drill(settings: Settings, wanted: str) -> dict[str, Any]:
    """One drill; returns its record, which has `result` success where nothing differs."""
    began = time.time()
    entry: dict[str, Any] = {"time": began, "result": "failed", "differences": []}
    with alone(settings, "drill"):
        folder = emptied(settings)
        try:
            manifest = newest_good(settings, wanted, folder, entry["differences"])
            entry.update(id=manifest["id"], age_seconds=round(began - manifest["saved"]))
            seen = serve(settings, folder, "")
            entry.update(objects=seen["objects"], read=seen["read"])
            if entry["differences"] and not seen["differences"]:
                entry["good"] = manifest["id"]
                entry["differences"].append(f"the newest good backup is {manifest['id'][:8]}")
            entry["differences"] += seen["differences"]
            if settings.file_system:
                entry.update(rehearse(settings, folder))
        except (BackupError, OSError, ValueError) as error:
            if str(error) != "; ".join(entry["differences"]):
                entry["differences"].append(str(error))
        finally:
            emptied(settings)
        if not entry["differences"]:
            entry["result"] = "success"
        entry["seconds"] = round(time.time() - began, 1)
        record(settings, "drills", entry)
        publish(settings, "selfhosted_backup_drill", metrics(settings, entry))
    return entry


def metrics(settings: Settings, entry: dict[str, Any]) -> dict[str, tuple[str, float]]:
    """How the last drill ended, and when one last ended well."""
    good, name = last_success(settings, "drills"), "selfhosted_backup_drill"
    values = {
        f"{name}_last_success_timestamp_seconds": ("When a drill ended well last.", good.get("time", 0.0)),
        f"{name}_last_run_success": ("Whether the last one did.", float(entry["result"] == "success")),
        f"{name}_duration_seconds": ("How long the last one took.", entry["seconds"]),
        f"{name}_differences": ("What differed in the last one.", float(len(entry["differences"]))),
    }
    help_text = "Objects of the backup by kind."
    counts = entry.get("objects", {}).items()
    values.update({labelled(f"{name}_objects", "kind", kind): (help_text, float(count)) for kind, count in counts})
    return values


def show(settings: Settings, what: str, wanted: str) -> dict[str, Any]:
    """An object (KIND/NAMESPACE/NAME or KIND/NAME), or all of a namespace, as it was in a backup."""
    with alone(settings, "drill"):
        folder = emptied(settings)
        try:
            fetch(settings, pick(Repository(settings).snapshots(), wanted)["id"], folder)
            return serve(settings, folder, what)
        finally:
            emptied(settings)


def explain(entry: dict[str, Any]) -> None:
    """What a person at the terminal reads."""
    for line in entry["differences"]:
        sys.stderr.write(f"{line}\n")
