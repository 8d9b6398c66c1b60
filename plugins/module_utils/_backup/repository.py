# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restic repository on this host, and copies of it elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .common import BackupError, Settings, run

# A snapshot with this tag has a verified one of etcd in it; others have what else there is to save.
WITH_ETCD = "etcd"
RESTIC = "restic"
# Kept however young they are: when the newest is bad, the one before has to be there.
KEEP_LAST = 3
IDENTITY = re.compile(r"[0-9a-f]{8,64}")


def moment(text: str) -> datetime:
    """A time as restic or a person writes it; without a zone it is UTC."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().replace("Z", "+00:00").replace(" ", "T"))
    try:
        parsed = datetime.fromisoformat(cut)
    except ValueError:
        raise BackupError(f"{text!r} is neither `latest`, nor an id, nor a time such as 2026-01-31T10:00") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def pick(snapshots: list[dict[str, Any]], wanted: str, what: str = "backup with a snapshot of etcd") -> dict[str, Any]:
    """The one that is meant: the newest, that of an id, or the newest at a time; the list has the oldest first."""
    if wanted == "latest":
        chosen = snapshots
    elif IDENTITY.fullmatch(wanted):
        chosen = [it for it in snapshots if it["id"].startswith(wanted)]
    else:
        until = moment(wanted)
        chosen = [it for it in snapshots if moment(it["time"]) <= until]
    if not chosen:
        there = f"there are {len(snapshots)}, from {snapshots[0]['time'][:16]} on" if snapshots else "there is none"
        raise BackupError(f"no {what} is `{wanted}`: {there}")
    return chosen[-1]


def shown(target: str) -> str:
    """A repository's address without a password."""
    return re.sub(r"//[^/@]*@", "//", target)


class Repository:
    """One of them; all have the same password."""

    def __init__(self, settings: Settings, location: str = "") -> None:
        self.settings = settings
        self.location = location or settings.repository
        password = f"{settings.config}/password"
        self.environment = {
            **settings.environment,
            "RESTIC_REPOSITORY": self.location,
            "RESTIC_PASSWORD_FILE": password,
            "RESTIC_CACHE_DIR": f"{settings.data}/cache",
        }
        # The host's own repository, for commands that know of two.
        self.origin = [f"--from-repo={settings.repository}", f"--from-password-file={password}"]

    def restic(self, *words: str) -> str:
        """One command; the password is in a file, never among its words."""
        try:
            return run([RESTIC, *words], self.environment)
        except BackupError as error:
            if "wrong password" in str(error):
                fix = "it was made with another one: set backup_password back, or see `restic key`"
                raise BackupError(f"{shown(self.location)} does not open with backup_password; {fix}") from None
            raise

    def open(self) -> None:
        """Make it where there is none yet, and remove locks of processes that are dead."""
        try:
            # A lock that is left would keep it from an answer, and so from being removed below.
            self.restic("cat", "config", "--no-lock")
        except BackupError as error:
            if "Is there a repository" not in str(error):
                raise
            # Cut in the same places, or a copy would share nothing with what is there.
            copy = self.location != self.settings.repository
            self.restic("init", *(["--copy-chunker-params", *self.origin] if copy else []))
        self.restic("unlock")

    def save(self, paths: list[str], tag: str, *words: str) -> dict[str, Any]:
        """A snapshot of files; restic's summary. A file that cannot be read is an error, and all others are saved."""
        output = self.restic("backup", "--json", f"--host={self.settings.host}", f"--tag={tag}", *words, *paths)
        summary: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return summary

    def forget(self) -> None:
        """What is older than we keep; each kind of snapshot by itself."""
        keep = [f"--keep-last={KEEP_LAST}"]
        keep += [f"--keep-{name}={count}" for name, count in self.settings.keep.items() if count]
        self.restic("forget", "--prune", f"--host={self.settings.host}", "--group-by=host,tags", *keep)

    def copy(self) -> None:
        """All that this target does not have yet, also of runs in which it was away."""
        self.restic("copy", *self.origin, f"--host={self.settings.host}")

    def snapshots(self, tag: str = WITH_ETCD) -> list[dict[str, Any]]:
        """Those of a kind, the oldest first."""
        self.restic("unlock")
        words = ["snapshots", "--json", f"--host={self.settings.host}", f"--tag={tag}"]
        found: list[dict[str, Any]] = json.loads(self.restic(*words)) or []
        return sorted(found, key=lambda it: moment(it["time"]))

    def fetch(self, identity: str, folder: Path, *paths: str) -> None:
        """Files of a snapshot, right into the folder; restic compares each with its hash."""
        part = folder / "restic.part"
        shutil.rmtree(part, ignore_errors=True)
        self.extract(identity, part, *paths)
        for path in paths:
            found = part / path.lstrip("/")
            if not found.is_file():
                raise BackupError(f"the backup {identity[:8]} has no {path}")
            found.replace(folder / found.name)
        shutil.rmtree(part)

    def extract(self, identity: str, folder: Path, *paths: str, verify: bool = False) -> Path:
        """Paths of a snapshot below a folder, as they were below /; read again and compared where that is asked for."""
        words = [*(f"--include={it}" for it in paths), *(["--verify"] if verify else [])]
        self.restic("restore", identity, f"--target={folder}", *words)
        return folder

    def size(self) -> int:
        """Bytes on this host's disk."""
        done = subprocess.run(["du", "-sb", self.location], capture_output=True, text=True, check=False)
        return int(done.stdout.split()[0]) if done.stdout else 0
