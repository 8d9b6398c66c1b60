# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What node_exporter says of the shared file system: that it answers; on masters also its volumes and snapshots.

The kubelet measures no hostPath, which volumes of class shared are. CephFS itself knows what is in a folder, so nothing
is walked through, and no API server is asked.
"""

from __future__ import annotations

import calendar
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# What volume-provisioner writes beside volumes.
RECORDS = ".claims"
TYPES = ("ceph", "fuse.ceph-fuse")
CAPACITY, USED = "ceph.quota.max_bytes", "ceph.dir.rbytes"
# Names that the manager's module snap_schedule gives, and units that it takes.
SNAPSHOT, MOMENT = "scheduled-", "%Y-%m-%d-%H_%M_%S"
UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}
PREFIX = "selfhosted_cephfs"
HELP = {
    f"{PREFIX}_last_answer_timestamp_seconds": "When the mount answered last.",
    "selfhosted_volume_capacity_bytes": "Quota of a volume.",
    "selfhosted_volume_used_bytes": "What is in it.",
    f"{PREFIX}_snapshot_interval_seconds": "How often the schedule makes a snapshot.",
    f"{PREFIX}_last_snapshot_timestamp_seconds": "When it made one last; before the first, when it was set.",
}
Sample = tuple[str, str, float]


def is_mounted(root: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Below it lies another file system, which answers as well."""
    found = (line.split() for line in mounts.read_text(encoding="utf-8").splitlines())
    return any(it[4] == str(root) and it[it.index("-") + 1] in TYPES for it in found)


def volumes(root: Path) -> Iterator[Sample]:
    """Size and use of each."""
    for record in sorted((root / RECORDS).glob("*.json")):
        try:
            volume = json.loads(record.read_text(encoding="utf-8"))
            name, claim = volume["metadata"]["name"], volume["spec"]["claimRef"]
            labels = {"namespace": claim["namespace"], "persistentvolumeclaim": claim["name"], "persistentvolume": name}
            capacity, used = (float(os.getxattr(root / name, it)) for it in (CAPACITY, USED))
        # It was removed meanwhile, somebody took its quota away, or its record was torn when a client died.
        except (OSError, ValueError, KeyError):
            continue
        text = "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
        yield "selfhosted_volume_capacity_bytes", text, capacity
        yield "selfhosted_volume_used_bytes", text, used


def last_snapshot(root: Path, since: float) -> float:
    """When the newest was made, by its name; no earlier than since when there is such a schedule."""
    moments = [since]
    for it in (root / ".snap").glob(f"{SNAPSHOT}*"):
        # Newer versions add the zone, always UTC; somebody's own name may begin like that, too.
        with suppress(ValueError):
            moments.append(calendar.timegm(time.strptime(it.name[len(SNAPSHOT) :][:19], MOMENT)))
    return max(moments)


def samples(root: Path, schedule: str | None, since: float = 0) -> Iterator[Sample]:
    """All that there is to say; without a schedule only that it answers."""
    os.listdir(root)
    yield f"{PREFIX}_last_answer_timestamp_seconds", "", time.time()
    if schedule is None:
        return
    yield from volumes(root)
    if schedule:
        yield f"{PREFIX}_snapshot_interval_seconds", "", int(schedule[:-1]) * UNITS[schedule[-1]]
        yield f"{PREFIX}_last_snapshot_timestamp_seconds", "", last_snapshot(root, since)


def text_of(found: list[Sample]) -> str:
    """As Prometheus reads it: all of a metric together."""
    lines = []
    for metric, said in HELP.items():
        values = [f"{metric}{labels} {value:.15g}" for name, labels, value in found if name == metric]
        lines += [f"# HELP {metric} {said}", f"# TYPE {metric} gauge", *values] if values else []
    return "\n".join(lines) + "\n"


def write(target: str, found: list[Sample]) -> None:
    """Replace the file in one step."""
    part = Path(f"{target}.part")
    part.write_text(text_of(found), encoding="utf-8")
    part.replace(target)


def main(root: str, target: str, schedule: str | None = None, caller: str = "") -> str:
    """Replace the file; what is wrong, empty when nothing is. Who calls has the schedule, and is as old as that."""
    if not Path(target).exists():
        # So that one that never answers is missed, too.
        write(target, [(f"{PREFIX}_last_answer_timestamp_seconds", "", time.time())])
    if not is_mounted(Path(root)):
        return f"{root} is not mounted: journalctl -u cephfs.service"
    since = Path(caller).stat().st_mtime if caller else 0
    write(target, list(samples(Path(root), schedule, since)))
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
